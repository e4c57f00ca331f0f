/* What this machine can do at best: float32 fused multiply-adds per second, and bytes read per
 * second from buffers that fit one cache or another. One JSON line per figure.
 *
 *   cc -O3 -march=native -pthread machine_limits.c -o machine_limits
 *   ./machine_limits [runs] [threads...]
 *   ./machine_limits fma [runs] [threads...]    multiply-adds only
 *
 * Written with the compilers' vector extensions, so it measures whatever -march=native offers.
 * Thread k of n is pinned to the k-th of the processors that the process may use, the single
 * thread to the last of them (the first one takes most interrupts).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* Independent chains: enough to hide the latency of two multiply-add units, few enough to stay in
 * the registers that the instruction set has. */
#define CHAINS (LANES == 16 ? 24 : 12)
#define MOST_THREADS 64
#define HUGE_PAGE ((size_t)2 << 20)

/* Hides a value from the optimiser, which could otherwise compute the loop in advance. */
#define OPAQUE(v) __asm__ volatile("" : "+x"(v))

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float sum_of(vector v) {
  float s = 0;
  for (int i = 0; i < LANES; i++) s += v[i];
  return s;
}

struct task {
  size_t bytes; /* of the buffer that is read; 0: multiply and add in registers */
  size_t passes;
  const float *buffer;
  int processor;
  int threads;
  double elapsed;
  float result;
};

static float multiply_add(size_t passes) {
  vector chain[CHAINS], factor, term;
  for (int i = 0; i < LANES; i++) factor[i] = 0.999999f, term[i] = 1e-6f;
  for (int k = 0; k < CHAINS; k++) chain[k] = term * (float)k;
  for (size_t p = 0; p < passes; p++) {
    OPAQUE(factor);
    OPAQUE(term);
#pragma GCC unroll 24
    for (int k = 0; k < CHAINS; k++) chain[k] = chain[k] * factor + term;
  }
  for (int k = 1; k < CHAINS; k++) chain[0] += chain[k];
  return sum_of(chain[0]);
}

static float read_buffer(const float *buffer, size_t bytes, size_t passes) {
  enum { STREAMS = 8 };
  vector total[STREAMS];
  for (int k = 0; k < STREAMS; k++) total[k] = (vector){0};
  const vector *v = (const vector *)buffer;
  const size_t count = bytes / sizeof(vector);
  for (size_t p = 0; p < passes; p++) {
    for (size_t i = 0; i < count; i += STREAMS) {
#pragma GCC unroll 8
      for (int k = 0; k < STREAMS; k++) total[k] += v[i + (size_t)k];
    }
    __asm__ volatile("" ::: "memory"); /* the next pass must read again */
  }
  for (int k = 1; k < STREAMS; k++) total[0] += total[k];
  return sum_of(total[0]);
}

static float perform(const struct task *task, size_t passes) {
  return task->bytes ? read_buffer(task->buffer, task->bytes, passes) : multiply_add(passes);
}

static atomic_int ready;

static void *run(void *argument) {
  struct task *task = argument;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(task->processor, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  task->result = perform(task, task->passes / 8 + 1); /* fill the caches, wake the clock */
  atomic_fetch_add(&ready, 1);
  while (atomic_load(&ready) < task->threads) {
  }
  const double begun = seconds();
  task->result += perform(task, task->passes);
  task->elapsed = seconds() - begun;
  return NULL;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* `unit` operations or bytes in a pass, about `total` of them in a run. */
static int measure(const char *name, size_t bytes, double unit, double total, int threads, int runs,
                   const int *processors, int processor_count) {
  struct task tasks[MOST_THREADS] = {{0}};
  float *buffers[MOST_THREADS] = {0};
  double *rates = malloc(sizeof *rates * (size_t)runs);
  int failed = rates == NULL;
  for (int t = 0; t < threads && !failed && bytes; t++) {
    const size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    buffers[t] = aligned_alloc(HUGE_PAGE, whole);
    failed = buffers[t] == NULL;
    for (size_t i = 0; !failed && i < bytes / sizeof(float); i++) buffers[t][i] = 1e-3f;
  }
  for (int r = 0; r < runs && !failed; r++) {
    pthread_t handles[MOST_THREADS];
    double slowest = 0;
    atomic_store(&ready, 0);
    for (int t = 0; t < threads; t++) {
      tasks[t] = (struct task){
          .bytes = bytes,
          .passes = (size_t)(total / unit) + 1,
          .buffer = buffers[t],
          .processor = processors[threads == 1 ? processor_count - 1 : t],
          .threads = threads,
      };
      if (pthread_create(&handles[t], NULL, run, &tasks[t]) != 0) exit(1);
    }
    for (int t = 0; t < threads; t++) {
      pthread_join(handles[t], NULL);
      if (tasks[t].elapsed > slowest) slowest = tasks[t].elapsed;
    }
    rates[r] = threads * unit * (double)tasks[0].passes / slowest / 1e9;
  }
  if (!failed) {
    qsort(rates, (size_t)runs, sizeof *rates, ascending);
    printf("{\"limit\":\"%s\",\"threads\":%d,\"unit\":\"%s\",\"median\":%.2f,\"min\":%.2f,\"max\":%.2f}\n",
           name, threads, bytes ? "GB/s" : "GFLOP/s", rates[runs / 2], rates[0], rates[runs - 1]);
    fflush(stdout);
  }
  for (int t = 0; t < threads; t++) free(buffers[t]);
  free(rates);
  return failed;
}

int main(int argc, char **argv) {
  static const size_t kibibytes[] = {16,   32,   64,   128,  256,   384,   512,
                                     768,  1024, 2048, 4096, 8192, 16384, 32768, 262144};
  const int only_fma = argc > 1 && strcmp(argv[1], "fma") == 0;
  argc -= only_fma;
  argv += only_fma;
  int runs = argc > 1 ? atoi(argv[1]) : 15;
  if (runs < 1) runs = 1;
  int processors[CPU_SETSIZE], count = 0;
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int p = 0; p < CPU_SETSIZE; p++)
    if (CPU_ISSET(p, &allowed)) processors[count++] = p;
  for (int a = 2; a < (argc > 2 ? argc : 3); a++) {
    const int threads = argc > 2 ? atoi(argv[a]) : 1;
    if (threads < 1 || threads > count || threads > MOST_THREADS) {
      fprintf(stderr, "machine_limits: %d threads on %d processors\n", threads, count);
      return 1;
    }
    int failed = measure("fma", 0, 2.0 * LANES * CHAINS, 4e9, threads, runs, processors, count);
    for (size_t k = 0; k < sizeof kibibytes / sizeof *kibibytes && !only_fma; k++) {
      char name[32];
      const size_t bytes = kibibytes[k] << 10;
      snprintf(name, sizeof name, "read_%zu", bytes);
      failed |= measure(name, bytes, (double)bytes, bytes > HUGE_PAGE * 8 ? 1e9 : 4e9, threads,
                        runs, processors, count);
    }
    if (failed) return 1;
  }
  return 0;
}
