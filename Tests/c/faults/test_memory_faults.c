/* Runs out of memory everywhere: each scenario again and again, with its 1st, 2nd, 3rd, ... allocation
 * failing, until it ends without a failure; then again with that allocation and all later ones
 * failing. A call may succeed or fail; after a failure it is repeated with memory and must succeed, and the
 * scenario must give what it gives without faults. Nothing may be left allocated.
 *
 * libhdf5 1.10 does not survive a lack of memory of its own: it leaks, refuses all later calls, crashes, or
 * calls exit. That is counted and not held against us, if an allocation of libhdf5 was among those that
 * failed. (The library does not enter libhdf5 when memory is short.) Wrong numbers are never forgiven.
 *
 * This program's allocator stands before the C library's and sees the allocations of libcarousel
 * (arrays, and objects of the Swift runtime), libhdf5, jansson, libzip, zlib, and the C library.
 *
 *   test-memory-faults FOLDER [STRIDE [SCENARIO...]]
 *
 * With a stride of s the faults after the 200th are every s-th one: what the quick tier runs. */
#define _GNU_SOURCE
#include "scenarios.h"

#include "../process_memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The allocator ------------------------------------------------------------------------- */

enum origin { ARRAYS, SWIFT, HDF5, JANSSON, ZIP, C_LIBRARY, OTHERS, ORIGINS, PROGRAM };
static const char *const origin_names[ORIGINS] = {
    "arrays", "Swift objects", "libhdf5", "jansson", "libzip and zlib", "C library", "others"};

static struct module {
    uintptr_t start, end;
    enum origin origin;
} modules[256];
static int module_count;

static int add_module(struct dl_phdr_info *info, size_t size, void *context) {
    static const struct {
        const char *part;
        enum origin origin;
    } known[] = {{"libcarousel", SWIFT}, {"libhdf5", HDF5},   {"libjansson", JANSSON},
                 {"libzip", ZIP},        {"libz.", ZIP},      {"libc.so", C_LIBRARY},
                 {"libc-", C_LIBRARY},   {"ld-linux", C_LIBRARY}};
    enum origin origin = module_count == 0 ? PROGRAM : OTHERS;
    size_t i;
    (void)size, (void)context;
    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(info->dlpi_name, known[i].part)) origin = known[i].origin;
    for (i = 0; i < info->dlpi_phnum && module_count < 256; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
        modules[module_count].start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        modules[module_count].end = modules[module_count].start + info->dlpi_phdr[i].p_memsz;
        modules[module_count++].origin = origin;
    }
    return 0;
}

static enum origin origin_of(const void *caller, int is_array) {
    int i;
    for (i = 0; i < module_count; i++)
        if ((uintptr_t)caller >= modules[i].start && (uintptr_t)caller < modules[i].end)
            return modules[i].origin == SWIFT && is_array ? ARRAYS : modules[i].origin;
    return OTHERS;
}

static int is_armed, is_lasting;
static long countdown, live;
/* Kept in shared memory: a crash is told of by the parent. */
static struct record {
    int scenario, lasts;
    long number;
    enum origin last;
    long injected[ORIGINS], failed_calls, survived, largest[ORIGINS];
    /* In this run. */
    int hdf5_failed;
    long hdf5_lost, hdf5_crashed, hdf5_leaked;
} *record;

/* How a child ends when an allocation of libhdf5 has failed: the next fault wants one that is whole. */
enum { NEXT_CHILD = 77 };

/* Whether this allocation fails. */
static int fails(const void *caller, size_t size, int is_array) {
    enum origin origin;
    if (!is_armed) return 0;
    origin = origin_of(caller, is_array);
    if (origin == PROGRAM) return 0;
    if ((long)size > record->largest[origin]) record->largest[origin] = (long)size;
    if (--countdown > 0 || (countdown < 0 && !is_lasting)) return 0;
    if (countdown == 0) record->last = origin;
    record->injected[origin]++;
    /* libhdf5 copies strings through the C library. */
    if (record->scenario >= FIRST_WITH_FILES && origin != ARRAYS && origin != SWIFT &&
        origin != JANSSON && origin != ZIP)
        record->hdf5_failed = 1;
    errno = ENOMEM;
    return 1;
}

#define CALLER __builtin_return_address(0)
#define COUNTED(expression)                            \
    do {                                               \
        void *const memory_ = (expression);            \
        if (memory_) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED); \
        return memory_;                                \
    } while (0)

void *malloc(size_t size) {
    if (fails(CALLER, size, 0)) return NULL;
    COUNTED(__libc_malloc(size));
}
void *calloc(size_t count, size_t size) {
    if (fails(CALLER, count * size, 0)) return NULL;
    COUNTED(__libc_calloc(count, size));
}
void *realloc(void *memory, size_t size) {
    if (fails(CALLER, size, 0)) return NULL;
    if (memory) return __libc_realloc(memory, size);
    COUNTED(__libc_realloc(memory, size));
}
void *aligned_alloc(size_t alignment, size_t size) {
    if (fails(CALLER, size, 1)) return NULL;
    COUNTED(__libc_memalign(alignment, size));
}
void *memalign(size_t alignment, size_t size) {
    if (fails(CALLER, size, 1)) return NULL;
    COUNTED(__libc_memalign(alignment, size));
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (fails(CALLER, size, 1)) return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    if (*memory) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return *memory ? 0 : ENOMEM;
}
void free(void *memory) {
    if (memory) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}

/* ---- The loop ------------------------------------------------------------------------------ */

static uint64_t expected;

static void memory_is_back(carousel_status status, const char *call) {
    is_armed = 0;
    record->failed_calls++;
    checks_made++;
    /* libhdf5, libzip and jansson do not always say why they failed. */
    if ((status != CAROUSEL_ERROR_OUT_OF_MEMORY && !record->hdf5_failed && record->last != ZIP &&
         record->last != JANSSON) ||
        *carousel_last_error_message() == 0) {
        checks_failed++;
        fprintf(stderr, "%s: allocation %ld (%s): %s: status %d, %s\n",
                scenarios[record->scenario].name, record->number, origin_names[record->last], call,
                (int)status, carousel_last_error_message());
    }
}

static void fails_without_faults(carousel_status status, const char *call) {
    if (record->hdf5_failed) {
        record->hdf5_lost++;
        fflush(NULL);
        _exit(checks_failed ? 1 : NEXT_CHILD);
    }
    fail_again(status, call);
}

/* Runs the scenario with allocation `number` failing; 0 when it is never reached. */
static int run_with_fault(long number, long *growth) {
    const long before = live;
    const int failed = checks_failed;
    const long calls = record->failed_calls;
    int injected;
    digest = 1;
    countdown = number;
    record->hdf5_failed = 0;
    is_armed = 1;
    scenarios[record->scenario].run();
    is_armed = 0;
    injected = countdown <= 0;
    if (injected && record->failed_calls == calls) record->survived++;
    checks_made++;
    if (digest != expected || checks_failed != failed) {
        checks_failed++;
        fprintf(stderr, "%s: allocation %ld (%s)%s: another result\n",
                scenarios[record->scenario].name, number, origin_names[record->last],
                is_lasting ? " and all later ones" : "");
    }
    *growth = live - before;
    return injected;
}

static void run_all_faults(long stride) {
    const char *name = scenarios[record->scenario].name;
    long growth, again;
    while (record->number++, run_with_fault(record->number, &growth)) {
        if (record->hdf5_failed) {
            record->hdf5_leaked += growth > 0;
            fflush(NULL);
            _exit(checks_failed ? 1 : NEXT_CHILD);
        }
        /* What is made once and kept may grow once, a leak grows each time. */
        if (growth > 0) run_with_fault(record->number, &growth);
        if (growth > 0 && run_with_fault(record->number, &again) && again > 0) {
            checks_failed++;
            fprintf(stderr, "%s: allocation %ld (%s)%s: %ld allocations leak\n", name,
                    record->number, origin_names[record->last],
                    is_lasting ? " and all later ones" : "", again);
        }
        if (checks_failed > 20) return;
        if (record->number >= 200) record->number += stride - 1;
    }
}

/* In a child, so that a crash is reported and does not end the rest. */
static void run_scenario(int number, int lasting, long stride) {
    long total = 0, crashes = 0;
    int i, status, goes_on, failed = 0;
    memset(record, 0, sizeof *record);
    record->scenario = number;
    is_lasting = lasting;
    do {
        pid_t child;
        goes_on = 0;
        fflush(NULL);
        child = fork();
        if (child == 0) {
            checks_failed = 0;
            run_all_faults(stride);
            fflush(NULL);
            _exit(checks_failed != 0);
        }
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == NEXT_CHILD) {
            goes_on = 1;
        } else if ((WIFSIGNALED(status) || WEXITSTATUS(status) == 255) && record->hdf5_failed) {
            record->hdf5_crashed++;
            goes_on = 1;
        } else if (WIFSIGNALED(status)) {
            fprintf(stderr, "%s: allocation %ld (%s)%s: killed by signal %d\n",
                    scenarios[number].name, record->number, origin_names[record->last],
                    lasting ? " and all later ones" : "", WTERMSIG(status));
            goes_on = ++crashes < 20;
        } else if (WEXITSTATUS(status)) {
            goes_on = ++failed < 20;
        }
        if (goes_on && record->number >= 200) record->number += stride - 1;
    } while (goes_on);
    CHECK(crashes == 0);
    CHECK(failed == 0);
    for (i = 0; i < ORIGINS; i++) total += record->injected[i];
    printf("%-22s %s %6ld faults:", scenarios[number].name, lasting ? "all from n" : "the n-th  ",
           total);
    for (i = 0; i < ORIGINS; i++)
        if (record->injected[i])
            printf(" %s %ld (largest %ld)", origin_names[i], record->injected[i], record->largest[i]);
    printf("; %ld failed calls, %ld runs without", record->failed_calls, record->survived);
    if (record->hdf5_lost + record->hdf5_crashed + record->hdf5_leaked)
        printf("; libhdf5 lost its senses %ld times, crashed %ld times, leaked %ld times",
               record->hdf5_lost, record->hdf5_crashed, record->hdf5_leaked);
    printf("\n");
}

int main(int count, char **arguments) {
    const long stride = count > 2 ? atol(arguments[2]) : 1;
    int i, j;
    if (count < 2 || stride < 1) {
        fprintf(stderr, "usage: test-memory-faults FOLDER [STRIDE [SCENARIO...]]\n");
        return 2;
    }
    record = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prepare_scenarios(arguments[1]);
    on_failure = memory_is_back;
    on_second_failure = fails_without_faults;
    setvbuf(stdout, NULL, _IOLBF, 0);
    carousel_set_threads(1);
    /* Opens libhdf5 and libzip, and fills every cache. */
    for (i = 0; i < 2 * SCENARIOS; i++) scenarios[i % SCENARIOS].run();
    dl_iterate_phdr(add_module, NULL);
    CHECK(checks_failed == 0);
    for (i = 0; i < SCENARIOS; i++) {
        int wanted = count <= 3;
        for (j = 3; j < count; j++) wanted |= strcmp(arguments[j], scenarios[i].name) == 0;
        if (!wanted) continue;
        digest = 1;
        scenarios[i].run();
        expected = digest;
        run_scenario(i, 0, stride);
        run_scenario(i, 1, stride);
    }
    return finish();
}
