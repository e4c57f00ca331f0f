#define _GNU_SOURCE
#include "CPlatform.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#endif

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SHADOW_MEMORY 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW_MEMORY 1
#endif

static int set_limit(int resource, uint64_t value, uint64_t most) {
    const struct rlimit limit = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)most};
    return setrlimit(resource, &limit) == 0 ? 0 : errno;
}

int carousel_limit_resources(uint64_t memory, uint32_t seconds) {
    /* What the host had open without O_CLOEXEC. */
    if (syscall(SYS_close_range, CAROUSEL_CHILD_FILE + 1, ~0u, 0) != 0)
        for (int descriptor = CAROUSEL_CHILD_FILE + 1; descriptor < 1024; descriptor++)
            close(descriptor);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return errno;
    int code = set_limit(RLIMIT_CORE, 0, 0);
    if (!code) code = set_limit(RLIMIT_FSIZE, 0, 0);
    /* SIGXCPU first, which says what it was; SIGKILL a second later. */
    if (!code) code = set_limit(RLIMIT_CPU, seconds, (uint64_t)seconds + 1);
#if !HAS_SHADOW_MEMORY /* reserves terabytes of addresses */
    if (!code) code = set_limit(RLIMIT_AS, memory, memory);
#else
    (void)memory;
#endif
    if (code) return code;
    /* The host keeps time, too; this one holds when the host is stopped. */
    const struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds + 5}};
    return setitimer(ITIMER_REAL, &timer, NULL) == 0 ? 0 : errno;
}

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

#if defined(__x86_64__)
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define DATA(field) offsetof(struct seccomp_data, field)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define ALLOW(call)                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),       \
    RETURN(SECCOMP_RET_ALLOW)
/* Memory, but none that can be executed: the third argument is the protection. */
#define ALLOW_UNLESS_EXECUTABLE(call)                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 4),       \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(args[2])),       \
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),   \
    RETURN(SECCOMP_RET_ALLOW),                               \
    RETURN(SECCOMP_RET_ERRNO | EPERM)

int carousel_limit_system_calls(void) {
    /* What computing and answering take. Files are read, and libraries loaded, by now; all else fails
     * with EPERM: opening, sockets, processes, signals to others. */
    static const struct sock_filter rules[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_pread64),
        ALLOW(SYS_lseek),
        ALLOW(SYS_fstat),
        ALLOW(SYS_close),
        ALLOW(SYS_brk),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mremap),
        ALLOW(SYS_madvise),
        ALLOW_UNLESS_EXECUTABLE(SYS_mmap),
        ALLOW_UNLESS_EXECUTABLE(SYS_mprotect),
        ALLOW(SYS_futex),
        ALLOW(SYS_sched_yield),
        ALLOW(SYS_clock_gettime),
        ALLOW(SYS_gettimeofday),
        ALLOW(SYS_getrandom),
        ALLOW(SYS_rt_sigreturn),
        ALLOW(SYS_rt_sigprocmask),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
    };
    const struct sock_fprog program = {
        .len = sizeof rules / sizeof *rules, .filter = (struct sock_filter *)(uintptr_t)rules};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
}

#else

int carousel_limit_system_calls(void) { return ENOSYS; }

#endif
