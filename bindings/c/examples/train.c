/* Trains a network entirely from C, on the adding problem of Hochreiter and Schmidhuber (1997).
 *
 *     cc -std=c99 train.c $(pkg-config --cflags --libs carousel) -lm -o train
 *     ./train [OUTPUT.h5 [STEPS]]
 *
 * Each sequence is a row of random numbers, two of which are marked, one in each half. After the
 * last step the network must give the sum of the two: it has to carry each number, untouched, over
 * all the steps in between. Answering 1, the mean of the sums, gives a mean squared error of 1/6.
 */
#include <carousel.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAINING = 4000, TEST = 1000, MOST_EPOCHS = 60, UNITS = 32 };

static const double BASELINE = 1.0 / 6.0;
static const double SOLVED = 0.005;

static int carousel_failed(void) {
  fprintf(stderr, "train: %s\n", carousel_last_error_message());
  return 1;
}

/* Uniform in [0, 1): SplitMix64. */
static double uniform(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Sequences (count, steps, 2) of numbers and marks, and their sums (count, 1). */
struct examples {
  float *sequences, *sums;
  carousel_array x, y;
  carousel_training_data data;
};

static carousel_array array_of(float *values, int32_t rank, int64_t a, int64_t b, int64_t c) {
  const carousel_array array = {
      .data = values, .dtype = CAROUSEL_FLOAT32, .rank = rank, .shape = {a, b, c}};
  return array;
}

static int make_examples(struct examples *e, int count, int steps, uint64_t *random) {
  e->sequences = calloc((size_t)count * (size_t)steps * 2, sizeof *e->sequences);
  e->sums = calloc((size_t)count, sizeof *e->sums);
  if (!e->sequences || !e->sums) return 1;
  for (int row = 0; row < count; row++) {
    float *sequence = e->sequences + (size_t)row * (size_t)steps * 2;
    for (int t = 0; t < steps; t++) sequence[2 * t] = (float)uniform(random);
    const int first = (int)(uniform(random) * (steps / 2));
    const int second = steps / 2 + (int)(uniform(random) * (steps - steps / 2));
    sequence[2 * first + 1] = sequence[2 * second + 1] = 1;
    e->sums[row] = sequence[2 * first] + sequence[2 * second];
  }
  e->x = array_of(e->sequences, 3, count, steps, 2);
  e->y = array_of(e->sums, 2, count, 1, 0);
  e->data = (carousel_training_data){.struct_size = sizeof e->data,
                                     .inputs = &e->x,
                                     .input_count = 1,
                                     .targets = &e->y,
                                     .target_count = 1};
  return 0;
}

static void free_examples(struct examples *e) {
  free(e->sequences);
  free(e->sums);
}

static carousel_status make_network(carousel_network **network) {
  const carousel_input_options input = {.struct_size = sizeof input, .features = 2, .time = -1};
  const carousel_lstm_options lstm = {.struct_size = sizeof lstm,
                                      .units = UNITS,
                                      .peepholes = CAROUSEL_PEEPHOLE_INPUT |
                                                   CAROUSEL_PEEPHOLE_FORGET |
                                                   CAROUSEL_PEEPHOLE_OUTPUT};
  const carousel_dense_options sum = {.struct_size = sizeof sum, .units = 1};
  carousel_builder *builder = NULL;
  carousel_status status = carousel_builder_create("adding", &builder);
  if (status == CAROUSEL_OK) status = carousel_builder_add_input(builder, "input", &input);
  if (status == CAROUSEL_OK) status = carousel_builder_add_lstm(builder, "lstm", &lstm);
  if (status == CAROUSEL_OK) status = carousel_builder_add_dense(builder, "sum", &sum);
  if (status == CAROUSEL_OK) status = carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, network);
  carousel_builder_free(builder);
  return status;
}

/* Called after every batch: reports each epoch, and stops when the task is solved. */
static int32_t report(const carousel_fit_event *event, void *context) {
  int *solved = context;
  if (!event->is_end_of_epoch) return 0;
  printf("  epoch %2d: loss %.4f, of unseen sequences %.4f\n", (int)event->epoch + 1, event->loss,
         event->validation_loss);
  fflush(stdout);
  *solved = event->validation_loss < SOLVED;
  return *solved;
}

/* Loads the file as any other program would, and answers one sequence of the test. */
static int check_file(const char *path, const struct examples *test, int steps) {
  carousel_network *network = NULL;
  float answer = 0;
  carousel_status status = carousel_network_load(path, NULL, &network);
  if (status == CAROUSEL_OK)
    status = carousel_network_forward(network, test->sequences, 1, steps, &answer, 1);
  carousel_network_free(network);
  if (status != CAROUSEL_OK) return carousel_failed();
  printf("\nSaved to %s; loaded again, it says %.3f where the sum is %.3f.\n", path, answer,
         test->sums[0]);
  return 0;
}

static int run(carousel_network *network, const struct examples *training,
               const struct examples *test, int steps, const char *path) {
  const carousel_trainer_options options = {.struct_size = sizeof options,
                                            .optimizer = {.learning_rate = 3e-3},
                                            .clip_norm = 1,
                                            .seed = 1};
  int solved = 0;
  const carousel_fit_options fit = {.struct_size = sizeof fit,
                                    .epochs = MOST_EPOCHS,
                                    .batch_size = 50,
                                    .callback = report,
                                    .context = &solved};
  carousel_trainer *trainer = NULL;
  printf("Adding two numbers among %d; answering the mean would give %.4f.\n\n", steps, BASELINE);
  carousel_status status = carousel_trainer_create(network, &options, &trainer);
  if (status == CAROUSEL_OK)
    status = carousel_trainer_fit(trainer, &training->data, &test->data, &fit);
  carousel_trainer_free(trainer);
  if (status == CAROUSEL_ERROR_INTERRUPTED && solved) status = CAROUSEL_OK; /* we stopped it */
  if (status == CAROUSEL_OK) status = carousel_network_save(network, path, NULL);
  if (status != CAROUSEL_OK) return carousel_failed();
  if (!solved) {
    fprintf(stderr, "train: not solved in %d epochs\n", MOST_EPOCHS);
    return 1;
  }
  return check_file(path, test, steps);
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "adding.h5";
  const int steps = argc > 2 ? atoi(argv[2]) : 50;
  if (steps < 4 || steps > 10000) {
    fprintf(stderr, "train: STEPS must be from 4 to 10000\n");
    return 2;
  }
  struct examples training = {0}, test = {0};
  carousel_network *network = NULL;
  uint64_t random = 1;
  int result = 1;
  if (make_examples(&training, TRAINING, steps, &random) ||
      make_examples(&test, TEST, steps, &random))
    fprintf(stderr, "train: out of memory\n");
  else if (make_network(&network) != CAROUSEL_OK)
    carousel_failed();
  else
    result = run(network, &training, &test, steps, path);
  carousel_network_free(network);
  free_examples(&training);
  free_examples(&test);
  return result;
}
