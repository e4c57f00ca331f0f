/* A model at work in real time: one value in, one value out, at every tick of a clock.
 *
 *     cc -std=c99 stream.c $(pkg-config --cflags --libs carousel) -lm -o stream
 *     ./stream [MODEL.h5 [SUNSPOTS.csv [TICKS_PER_SECOND]]]
 *
 * The sunspot numbers arrive one by one, as a sensor would give them. After each, the model says
 * what comes next; what it has seen is in the stream's state, so no window is kept. After the last
 * one it looks eleven years ahead: it feeds itself its own forecasts, and then returns to the present
 * with a snapshot. A step neither allocates, nor locks, nor calls the system.
 */
#define _POSIX_C_SOURCE 200809L
#include <carousel.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_YEARS = 1000, YEARS_AHEAD = 11 };

static const double LARGEST_COUNT = 200.0;

static double unscale(float value) {
  const double positive = value > 0 ? (double)value : 0.0;
  return positive * positive * LARGEST_COUNT;
}

static int carousel_failed(void) {
  fprintf(stderr, "stream: %s\n", carousel_last_error_message());
  return 1;
}

static double microseconds_between(const struct timespec *a, const struct timespec *b) {
  return (double)(b->tv_sec - a->tv_sec) * 1e6 + (double)(b->tv_nsec - a->tv_nsec) * 1e-3;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Steps through the years, one at each tick; `last` becomes the last forecast. */
static int run_in_real_time(carousel_stream *stream, const int years[], const double counts[],
                            int n, double ticks_per_second, float *last) {
  static double took[MOST_YEARS];
  const long period = (long)(1e9 / ticks_per_second);
  struct timespec tick, begun, ended;
  clock_gettime(CLOCK_MONOTONIC, &tick);
  for (int k = 0; k < n; k++) {
    tick.tv_nsec += period;
    while (tick.tv_nsec >= 1000000000L) tick.tv_nsec -= 1000000000L, tick.tv_sec++;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);

    const float value = (float)sqrt(counts[k] / LARGEST_COUNT);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    const carousel_status status = carousel_stream_step(stream, &value, last);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    if (status != CAROUSEL_OK) return carousel_failed();
    took[k] = microseconds_between(&begun, &ended);
    if (k >= n - 5)
      printf("  %d: %5.1f sunspots; next year %5.1f\n", years[k], counts[k], unscale(*last));
  }
  qsort(took, (size_t)n, sizeof *took, ascending);
  printf("\n%d steps at %g per second. A step took %.2f us in the median, %.2f us at worst.\n", n,
         ticks_per_second, took[n / 2], took[n - 1]);
  return 0;
}

/* Feeds the model its own forecasts. */
static int look_ahead(carousel_stream *stream, int year, float value) {
  printf("\nThe years ahead:");
  for (int k = 1; k <= YEARS_AHEAD; k++) {
    printf(" %d: %.0f%s", year + k, unscale(value), k < YEARS_AHEAD ? "," : "\n");
    if (carousel_stream_step(stream, &value, &value) != CAROUSEL_OK) return carousel_failed();
  }
  return 0;
}

static int run(carousel_stream *stream, const int years[], const double counts[], int n,
               double ticks_per_second) {
  carousel_stream_info info;
  CAROUSEL_INIT(info);
  if (carousel_stream_get_info(stream, &info) != CAROUSEL_OK) return carousel_failed();
  if (info.input_count != 1 || info.output_count != 1) {
    fprintf(stderr, "stream: the model must take one value and give one\n");
    return 1;
  }
  float last = 0, once, again;
  if (run_in_real_time(stream, years, counts, n, ticks_per_second, &last)) return 1;

  void *present = malloc(info.state_size);
  if (!present) return 1;
  int result = carousel_stream_snapshot(stream, present, info.state_size) != CAROUSEL_OK ||
               look_ahead(stream, years[n - 1], last) ||
               carousel_stream_restore(stream, present, info.state_size) != CAROUSEL_OK ||
               carousel_stream_step(stream, &last, &once) != CAROUSEL_OK ||
               carousel_stream_restore(stream, present, info.state_size) != CAROUSEL_OK ||
               carousel_stream_step(stream, &last, &again) != CAROUSEL_OK;
  free(present);
  if (result) return carousel_failed();
  result = memcmp(&once, &again, sizeof once) != 0;
  printf("Back in the present: the same step gives the same bits%s.\n", result ? "? No" : "");
  return result;
}

int main(int argc, char **argv) {
  static int years[MOST_YEARS];
  static double counts[MOST_YEARS];
  const char *model = argc > 1 ? argv[1] : "data/sunspots/forecaster.h5";
  const char *data = argc > 2 ? argv[2] : "data/sunspots/sunspots.csv";
  const double ticks_per_second = argc > 3 ? atof(argv[3]) : 1000.0;
  int n = 0;
  FILE *file = fopen(data, "r");
  if (file) {
    if (fscanf(file, "%*[^\n]") != EOF) /* the header */
      while (n < MOST_YEARS && fscanf(file, "%d,%lf", &years[n], &counts[n]) == 2) n++;
    fclose(file);
  }
  if (n == 0 || !(ticks_per_second >= 1)) {
    fprintf(stderr, "stream: cannot read %s, or less than one tick per second\n", data);
    return 1;
  }

  carousel_network *network = NULL;
  carousel_stream *stream = NULL;
  if (carousel_network_load(model, NULL, &network) != CAROUSEL_OK) return carousel_failed();
  const carousel_status status = carousel_stream_create(network, 1, &stream);
  carousel_network_free(network); /* the stream keeps what it needs */
  if (status != CAROUSEL_OK) return carousel_failed();
  const int result = run(stream, years, counts, n, ticks_per_second);
  carousel_stream_free(stream);
  return result;
}
