/* How long a cache line takes from one processor to another and back: two threads take turns in writing it. Two
 * processors that share a cache need 40 to 100 ns, others several times as long; the host of a virtual machine may
 * move it from one kind of place to the other within minutes. One JSON line.
 *
 *   cc -O2 -pthread exchange.c -o exchange
 *   ./exchange [runs]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WARM_UP = 2000, TRIPS = 20000, MOST_RUNS = 100 };

static _Alignas(128) atomic_int turn;
static int processors[2];

static void *answer(void *runs) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processors[1], &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  for (int i = 0; i < *(int *)runs * (WARM_UP + TRIPS); i++) {
    while (atomic_load_explicit(&turn, memory_order_acquire) != 2 * i + 1) {
    }
    atomic_store_explicit(&turn, 2 * i + 2, memory_order_release);
  }
  return NULL;
}

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int trips(int first, int count) {
  for (int i = first; i < first + count; i++) {
    while (atomic_load_explicit(&turn, memory_order_acquire) != 2 * i) {
    }
    atomic_store_explicit(&turn, 2 * i + 1, memory_order_release);
  }
  return first + count;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int runs = argc > 1 ? atoi(argv[1]) : 5;
  if (runs < 1 || runs > MOST_RUNS) runs = 5;
  cpu_set_t allowed;
  int found = 0;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int p = 0; p < CPU_SETSIZE && found < 2; p++)
    if (CPU_ISSET(p, &allowed)) processors[found++] = p;
  if (found < 2) {
    fprintf(stderr, "exchange: needs two processors\n");
    return 1;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processors[0], &set);
  sched_setaffinity(0, sizeof set, &set);
  pthread_t other;
  if (pthread_create(&other, NULL, answer, &runs) != 0) return 1;
  double times[MOST_RUNS];
  int next = 0;
  for (int r = 0; r < runs; r++) {
    next = trips(next, WARM_UP);
    const double begun = nanoseconds();
    next = trips(next, TRIPS);
    times[r] = (nanoseconds() - begun) / TRIPS;
  }
  pthread_join(other, NULL);
  qsort(times, (size_t)runs, sizeof *times, ascending);
  printf("{\"limit\":\"exchange\",\"threads\":2,\"unit\":\"ns\",\"median\":%.0f,\"min\":%.0f,\"max\":%.0f}\n",
         times[runs / 2], times[0], times[runs - 1]);
  return 0;
}
