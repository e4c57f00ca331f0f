/* A peer written in C or C++: reads requests on stdin and answers each with one JSON line, as
 * worker.py does for the peers in Python.
 *
 *   open NAME KIND I H T B LAYERS DIRECTIONS DATA   KIND: step, seq, train
 *   check FILE                                      float32 outputs, as oracle.reference orders them
 *   run SECONDS COUNT
 *
 * A program implements `bench_build` and calls `bench_main`.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_GATES = 4, BENCH_MOST_DIRECTIONS = 32, BENCH_CHECKED_STEPS = 3 };
enum bench_outcome { BENCH_BUILT, BENCH_SKIPPED, BENCH_FAILED };

typedef struct {
  char kind[8];
  long input_size, hidden_size, time_steps, batch, layers, directions;
} bench_workload;

/* One direction of one layer in PyTorch's layout: rows are the gates i, f, g, o. */
typedef struct {
  long input_size;
  const float *input_kernel;     /* (4 H, I) */
  const float *recurrent_kernel; /* (4 H, H) */
  const float *bias;             /* (4 H) */
} bench_direction;

typedef struct {
  float *storage;
  bench_direction directions[BENCH_MOST_DIRECTIONS]; /* layer by layer, forward first */
  const float *x;                                    /* (T, B, I) */
  const float *output_gradient;                      /* (T, B, D * H) */
} bench_data;

typedef struct {
  void *state;
  void (*call)(void *state, long count);        /* runs the workload count times */
  int (*outputs)(void *state, FILE *file);      /* writes what one fresh run computes */
  void (*close)(void *state);
} bench_program;

/* `data` stays valid until the program is closed. On a skip or failure `message` says why. */
typedef enum bench_outcome (*bench_build)(const bench_workload *workload, const bench_data *data,
                                          int threads, bench_program *program, char message[400]);

static double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int bench_write(FILE *file, const float *values, size_t count) {
  return fwrite(values, sizeof *values, count, file) == count ? 0 : -1;
}

static size_t bench_output_count(const bench_workload *w) {
  return (size_t)(w->time_steps * w->batch * w->directions * w->hidden_size);
}

static int bench_read_data(const bench_workload *w, const char *path, bench_data *data) {
  FILE *file = fopen(path, "rb");
  if (!file) return -1;
  long size = -1;
  if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  rewind(file);
  data->storage = size > 0 ? (float *)malloc((size_t)size) : NULL;
  const int complete =
      data->storage && fread(data->storage, 1, (size_t)size, file) == (size_t)size;
  fclose(file);
  if (!complete) return -1;
  const float *next = data->storage;
  const long hidden = w->hidden_size;
  for (long k = 0; k < w->layers * w->directions; k++) {
    bench_direction *d = &data->directions[k];
    d->input_size = k < w->directions ? w->input_size : w->directions * hidden;
    d->input_kernel = next;
    d->recurrent_kernel = d->input_kernel + BENCH_GATES * hidden * d->input_size;
    d->bias = d->recurrent_kernel + BENCH_GATES * hidden * hidden;
    next = d->bias + BENCH_GATES * hidden;
  }
  data->x = next;
  data->output_gradient = data->x + w->time_steps * w->batch * w->input_size;
  return (const char *)(data->output_gradient + bench_output_count(w)) -
                     (const char *)data->storage ==
                 size
             ? 0
             : -1;
}

static void bench_warm_up(const bench_program *p) {
  p->call(p->state, 1);
  const double begun = bench_now();
  p->call(p->state, 1);
  const double once = bench_now() - begun;
  if (once >= 0.5) return;
  const double end = bench_now() + fmin(0.3, 20 * once);
  while (bench_now() < end) p->call(p->state, 1);
}

/* As worker.measure: a sample of a step lasts at least 400 us, and is a mean over many steps. */
static void bench_measure(const bench_program *p, double duration, long most, int step) {
  double begun = bench_now();
  p->call(p->state, 1);
  const double once = fmax(bench_now() - begun, 1e-8);
  const long inner = step ? (long)fmax(1, ceil(400e-6 / once)) : 1;
  const double end = bench_now() + duration;
  printf("{\"us\":[");
  for (long taken = 0; taken < most;) {
    begun = bench_now();
    p->call(p->state, inner);
    const double now = bench_now();
    printf("%s%.5f", taken++ ? "," : "", (now - begun) / (double)inner * 1e6);
    if (now > end && (taken >= 3 || now > end + 3)) break;
  }
  printf("]}\n");
}

static int bench_main(int threads, const char *version, bench_build build) {
  char line[4096], path[2048], message[400];
  bench_workload workload;
  bench_data data;
  bench_program program;
  memset(&data, 0, sizeof data);
  memset(&program, 0, sizeof program);
  printf("{\"version\":\"%s\"}\n", version);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    double duration;
    long most;
    if (sscanf(line, "open %*s %7s %ld %ld %ld %ld %ld %ld %2047s", workload.kind,
               &workload.input_size, &workload.hidden_size, &workload.time_steps, &workload.batch,
               &workload.layers, &workload.directions, path) == 8) {
      if (program.state) program.close(program.state);
      free(data.storage);
      memset(&data, 0, sizeof data);
      memset(&program, 0, sizeof program);
      enum bench_outcome outcome = BENCH_FAILED;
      snprintf(message, sizeof message, "the data file does not fit the workload");
      if (workload.layers * workload.directions <= BENCH_MOST_DIRECTIONS &&
          bench_read_data(&workload, path, &data) == 0)
        outcome = build(&workload, &data, threads, &program, message);
      if (outcome == BENCH_BUILT)
        printf("{\"opened\":true}\n");
      else
        printf("{\"%s\":\"%s\"}\n", outcome == BENCH_SKIPPED ? "skip" : "error", message);
    } else if (!program.state) {
      printf("{\"error\":\"nothing is open\"}\n");
    } else if (sscanf(line, "check %2047s", path) == 1) {
      FILE *file = fopen(path, "wb");
      const int written = file && program.outputs(program.state, file) == 0;
      const int closed = file && fclose(file) == 0;
      if (written && closed) bench_warm_up(&program);
      printf(written && closed ? "{\"checked\":true}\n" : "{\"error\":\"no outputs\"}\n");
    } else if (sscanf(line, "run %lf %ld", &duration, &most) == 2) {
      bench_measure(&program, duration, most, strcmp(workload.kind, "step") == 0);
    } else {
      printf("{\"error\":\"unknown request\"}\n");
    }
    fflush(stdout);
  }
  if (program.state) program.close(program.state);
  free(data.storage);
  return 0;
}

#endif
