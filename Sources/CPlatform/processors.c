#define _GNU_SOURCE
#include "CPlatform.h"

#if defined(__linux__)
#include <sched.h>
#endif
#include <unistd.h>

int carousel_processor_count(void) {
#if defined(__linux__)
    cpu_set_t set; /* fails on machines with more than 1024 processors */
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        const int count = CPU_COUNT(&set);
        if (count > 0) return count;
    }
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int carousel_current_processor(void) {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

int carousel_leave_processor(int processor) {
#if defined(__linux__)
    cpu_set_t own, others;
    if (processor < 0 || sched_getaffinity(0, sizeof own, &own) != 0) return 0;
    others = own;
    CPU_CLR(processor, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return 0;
    sched_setaffinity(0, sizeof own, &own);
    return 1;
#else
    (void)processor;
    return 0;
#endif
}
