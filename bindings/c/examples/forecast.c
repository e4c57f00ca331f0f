/* Forecasts the yearly sunspot numbers with a model that Keras trained.
 *
 *     cc -std=c99 forecast.c $(pkg-config --cflags --libs carousel) -lm -o forecast
 *     ./forecast [MODEL.h5 [SUNSPOTS.csv]]
 *
 * The model sees a window of past years as sqrt(count / 200) and gives the next year on the same
 * scale. All windows are one batch, so the network runs once. ../../python/examples/forecast.py is
 * the same program in Python and prints the same text.
 */
#include <carousel.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_YEARS = 1000, FIRST_TEST_YEAR = 1960, YEARS_AHEAD = 11 };

static const double LARGEST_COUNT = 200.0;

static float scale(double count) { return (float)sqrt(count / LARGEST_COUNT); }

static double unscale(float value) {
  const double positive = value > 0 ? (double)value : 0.0;
  return positive * positive * LARGEST_COUNT;
}

static int carousel_failed(void) {
  fprintf(stderr, "forecast: %s\n", carousel_last_error_message());
  return 1;
}

/* Returns how many years it read, 0 if it could not. */
static int read_counts(const char *path, int years[], double counts[]) {
  FILE *file = fopen(path, "r");
  int n = 0;
  if (!file) return 0;
  if (fscanf(file, "%*[^\n]") != EOF) /* the header */
    while (n < MOST_YEARS && fscanf(file, "%d,%lf", &years[n], &counts[n]) == 2) n++;
  fclose(file);
  return n;
}

/* The length of the window, from the model's input shape (batch, window, 1); 0 if it has none. */
static int window_of(const carousel_network *network) {
  carousel_signal_info input;
  CAROUSEL_INIT(input);
  if (carousel_network_get_input(network, 0, &input) != CAROUSEL_OK) return 0;
  if (input.rank != 3 || input.shape[1] < 1 || input.shape[1] > MOST_YEARS || input.shape[2] != 1)
    return 0;
  return (int)input.shape[1];
}

/* forecasts[k] is made of the window that begins with year k. */
static carousel_status forecast_all(carousel_network *network, const float scaled[], int window,
                                    int rows, double forecasts[]) {
  static float output[MOST_YEARS];
  float *input = malloc(sizeof *input * (size_t)rows * (size_t)window);
  if (!input) return CAROUSEL_ERROR_OUT_OF_MEMORY;
  for (int row = 0; row < rows; row++)
    for (int t = 0; t < window; t++) input[row * window + t] = scaled[row + t];
  const carousel_status status =
      carousel_network_forward(network, input, rows, window, output, (size_t)rows);
  free(input);
  for (int row = 0; row < rows && status == CAROUSEL_OK; row++)
    forecasts[row] = unscale(output[row]);
  return status;
}

static double rmse(const double forecasts[], const double counts[], int n) {
  double sum = 0;
  for (int k = 0; k < n; k++) sum += (forecasts[k] - counts[k]) * (forecasts[k] - counts[k]);
  return sqrt(sum / n);
}

static int run(carousel_network *network, const int years[], const double counts[], int n) {
  static float scaled[MOST_YEARS + YEARS_AHEAD];
  static double forecasts[MOST_YEARS];
  const int window = window_of(network);
  int first = 0;
  while (first < n && years[first] < FIRST_TEST_YEAR) first++;
  if (window == 0 || window > first || first == n) {
    fprintf(stderr, "forecast: the model must read (batch, window, 1), the data must reach beyond "
                    "window and %d\n", FIRST_TEST_YEAR);
    return 1;
  }
  for (int k = 0; k < n; k++) scaled[k] = scale(counts[k]);
  if (forecast_all(network, scaled, window, n - window, forecasts) != CAROUSEL_OK)
    return carousel_failed();

  printf("One year ahead, from the %d years before:\n\n", window);
  printf("  year  sunspots  forecast  persistence\n");
  for (int k = first; k < n; k++)
    printf("  %d  %8.1f  %8.1f  %11.1f\n", years[k], counts[k], forecasts[k - window],
           counts[k - 1]);

  const double ours = rmse(forecasts + first - window, counts + first, n - first);
  const double persistence = rmse(counts + first - 1, counts + first, n - first);
  printf("\nRMSE %d-%d: forecast %.2f, persistence %.2f\n\n", years[first], years[n - 1], ours,
         persistence);

  printf("Further ahead, each year made of forecasts of the years before:\n\n");
  for (int k = n; k < n + YEARS_AHEAD; k++) {
    if (carousel_network_forward(network, scaled + k - window, 1, window, scaled + k, 1) !=
        CAROUSEL_OK)
      return carousel_failed();
    printf("  %d  %8.1f\n", years[n - 1] + 1 + k - n, unscale(scaled[k]));
  }
  if (ours >= persistence) {
    fprintf(stderr, "forecast: no better than persistence\n");
    return 1;
  }
  return 0;
}

int main(int argc, char **argv) {
  static int years[MOST_YEARS];
  static double counts[MOST_YEARS];
  const char *model = argc > 1 ? argv[1] : "data/sunspots/forecaster.h5";
  const char *data = argc > 2 ? argv[2] : "data/sunspots/sunspots.csv";
  carousel_network *network = NULL;
  const int n = read_counts(data, years, counts);
  if (n == 0) {
    fprintf(stderr, "forecast: cannot read %s\n", data);
    return 1;
  }
  if (carousel_network_load(model, NULL, &network) != CAROUSEL_OK) return carousel_failed();
  const int result = run(network, years, counts, n);
  carousel_network_free(network);
  return result;
}
