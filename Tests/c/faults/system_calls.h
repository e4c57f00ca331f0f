/* Lets the n-th system call on files fail, whoever makes it: our code, libhdf5, or a library that goes
 * through stdio. A seccomp filter turns these calls into signals; the handler lets the call fail, or makes
 * it from the one address that the filter lets pass. x86-64 Linux only. */
#ifndef CAROUSEL_TESTS_SYSTEM_CALLS_H
#define CAROUSEL_TESTS_SYSTEM_CALLS_H

#if defined(__linux__) && defined(__x86_64__)
#define HAS_SYSTEM_CALL_FAULTS 1

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

static const int faulty_calls[] = {
    SYS_open,      SYS_openat,   SYS_creat,      SYS_read,      SYS_pread64, SYS_readv,
    SYS_write,     SYS_pwrite64, SYS_writev,     SYS_fsync,     SYS_fdatasync,
    SYS_ftruncate, SYS_rename,   SYS_renameat,   SYS_renameat2, SYS_close,   SYS_unlink,
    SYS_unlinkat,  SYS_lseek,    SYS_fstat,      SYS_stat,      SYS_lstat,   SYS_newfstatat,
    SYS_fchmod,    SYS_chmod,    SYS_access,     SYS_faccessat, SYS_flock,
    SYS_readlink,  SYS_fallocate};
enum { FAULTY_CALLS = sizeof faulty_calls / sizeof *faulty_calls };

static const char *system_call_name(int number) {
    switch (number) {
    case SYS_open: case SYS_openat: case SYS_creat: return "open";
    case SYS_read: case SYS_pread64: case SYS_readv: return "read";
    case SYS_write: case SYS_pwrite64: case SYS_writev: return "write";
    case SYS_fsync: case SYS_fdatasync: return "fsync";
    case SYS_ftruncate: return "ftruncate";
    case SYS_rename: case SYS_renameat: case SYS_renameat2: return "rename";
    case SYS_close: return "close";
    case SYS_unlink: case SYS_unlinkat: return "unlink";
    case SYS_lseek: return "lseek";
    case SYS_fstat: case SYS_stat: case SYS_lstat: case SYS_newfstatat: return "stat";
    case SYS_fchmod: case SYS_chmod: return "chmod";
    case SYS_access: case SYS_faccessat: return "access";
    default: return "other";
    }
}

/* What happens to a call that is chosen. */
enum { FAULT_SHORT = -1 /* reads and writes half of what was asked for */ };

static volatile long calls_until_fault; /* 1: the next one; 0 and below: it is past */
static volatile int fault_error, faults_last, fault_call, faults_armed;
/* close fails, too. For a file that was only read from it never does. */
static volatile int close_fails = 1;

long carousel_test_system_call(long, long, long, long, long, long, long);
extern const char carousel_test_after_system_call[];
__asm__(
    ".text\n.globl carousel_test_system_call, carousel_test_after_system_call\n"
    "carousel_test_system_call:\n"
    "mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n"
    "mov %r9, %r8\n mov 8(%rsp), %r9\n syscall\n"
    "carousel_test_after_system_call:\n ret\n");

static int moves_bytes(int number) {
    return number == SYS_read || number == SYS_pread64 || number == SYS_write ||
           number == SYS_pwrite64;
}

static void on_system_call(int signal_number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const int number = info->si_syscall;
    long size = r[REG_RDX];
    (void)signal_number;
    if (faults_armed && (number != SYS_close || close_fails)) {
        const long left = --calls_until_fault;
        if (left == 0 || (left < 0 && faults_last)) {
            if (left == 0) fault_call = number;
            if (fault_error != FAULT_SHORT) {
                /* A close that fails has closed nevertheless, as in Linux. */
                if (number == SYS_close)
                    carousel_test_system_call(number, r[REG_RDI], 0, 0, 0, 0, 0);
                r[REG_RAX] = -fault_error;
                return;
            }
            if (moves_bytes(number) && size > 1) size /= 2;
        }
    }
    r[REG_RAX] = carousel_test_system_call(
        number, r[REG_RDI], r[REG_RSI], size, r[REG_R10], r[REG_R8], r[REG_R9]);
}

/* For the rest of the process's life. 0: done. */
static int install_system_call_faults(void) {
    struct sock_filter filter[FAULTY_CALLS + 8];
    struct sock_fprog program;
    struct sigaction action;
    const uint64_t allowed = (uint64_t)(uintptr_t)carousel_test_after_system_call;
    size_t n = 0, i;
    const size_t address = offsetof(struct seccomp_data, instruction_pointer);
#define LOAD(offset) \
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define JUMP_IF(value, then, otherwise) \
    filter[n++] = (struct sock_filter)BPF_JUMP( \
        BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), (uint8_t)(then), (uint8_t)(otherwise))
    LOAD(address);
    JUMP_IF(allowed, 0, 2);
    LOAD(address + 4);
    JUMP_IF(allowed >> 32, FAULTY_CALLS + 1, 0);
    LOAD(offsetof(struct seccomp_data, nr));
    for (i = 0; i < FAULTY_CALLS; i++) JUMP_IF(faulty_calls[i], FAULTY_CALLS - i, 0);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
#undef LOAD
#undef JUMP_IF
    program.len = (unsigned short)n;
    program.filter = filter;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_system_call;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSYS, &action, NULL)) return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#endif
#endif
