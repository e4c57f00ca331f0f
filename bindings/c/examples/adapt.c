/* Learns while it runs: predicts each sample of a signal from those before it, and learns from
 * every one, once and at once. The signal changes half-way, as a machine's vibration does when its
 * load changes; a copy of the network that no longer learns is left behind.
 *
 *     cc -std=c99 adapt.c $(pkg-config --cflags --libs carousel) -lm -o adapt
 *     ./adapt [SAMPLES]
 *
 * Nothing of the past is stored: the network carries its state, and the trainer how the state
 * depends on the weights (the algorithm of Hochreiter and Schmidhuber 1997). Memory, and time per
 * sample, stay the same for ever.
 */
#include <carousel.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The signal comes in ten parts. It changes after the fifth; the copy is made after the fourth. */
enum { UNITS = 12, PARTS = 10, CHANGED = 5, COPIED = 4 };

static int carousel_failed(void) {
  fprintf(stderr, "adapt: %s\n", carousel_last_error_message());
  return 1;
}

/* Two tones; from half-way on two others. */
static float signal_at(int t, int samples) {
  const double first = t < samples / PARTS * CHANGED ? 0.13 : 0.29;
  const double second = t < samples / PARTS * CHANGED ? 0.41 : 0.97;
  return (float)(0.6 * sin(first * t) + 0.4 * sin(second * t));
}

static carousel_status make_network(carousel_network **network) {
  const carousel_input_options input = {.struct_size = sizeof input, .features = 1, .time = -1};
  const carousel_lstm_options lstm = {
      .struct_size = sizeof lstm,
      .units = UNITS,
      .truncate_gates = 1,
      .recurrent = {.return_sequences = 1, .stateful = 1}};
  const carousel_dense_options next = {.struct_size = sizeof next, .units = 1};
  carousel_builder *builder = NULL;
  carousel_status status = carousel_builder_create("predictor", &builder);
  if (status == CAROUSEL_OK) status = carousel_builder_add_input(builder, "sample", &input);
  if (status == CAROUSEL_OK) status = carousel_builder_add_lstm(builder, "lstm", &lstm);
  if (status == CAROUSEL_OK) status = carousel_builder_add_dense(builder, "next", &next);
  if (status == CAROUSEL_OK) status = carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, network);
  carousel_builder_free(builder);
  return status;
}

/* By part of the signal. Each prediction is made before its sample is learned from. */
struct errors {
  double learning[PARTS], frozen[PARTS];
};

static carousel_status learn(carousel_network *network, carousel_trainer *trainer, int samples,
                             struct errors *errors) {
  float now, next, prediction;
  const carousel_array x = {
      .data = &now, .dtype = CAROUSEL_FLOAT32, .rank = 3, .shape = {1, 1, 1}};
  const carousel_array y = {
      .data = &next, .dtype = CAROUSEL_FLOAT32, .rank = 3, .shape = {1, 1, 1}};
  const carousel_training_data data = {.struct_size = sizeof data,
                                       .inputs = &x,
                                       .input_count = 1,
                                       .targets = &y,
                                       .target_count = 1};
  const int part = samples / PARTS;
  carousel_network *copy = NULL;
  carousel_stream *frozen = NULL;
  carousel_status status = CAROUSEL_OK;
  for (int t = 0; t < PARTS * part && status == CAROUSEL_OK; t++) {
    carousel_step_result result = {.struct_size = sizeof result};
    now = signal_at(t, samples);
    next = signal_at(t + 1, samples);
    if (t == COPIED * part) {
      status = carousel_network_copy(network, &copy);
      if (status == CAROUSEL_OK) status = carousel_stream_create(copy, 1, &frozen);
    }
    if (status == CAROUSEL_OK) status = carousel_trainer_step(trainer, &data, &result);
    if (status == CAROUSEL_OK && frozen)
      status = carousel_stream_step(frozen, &now, &prediction);
    errors->learning[t / part] += result.loss / part;
    if (frozen) errors->frozen[t / part] += (prediction - next) * (prediction - next) / part;
  }
  carousel_stream_free(frozen);
  carousel_network_free(copy);
  return status;
}

int main(int argc, char **argv) {
  const int samples = argc > 1 ? atoi(argv[1]) : 40000;
  if (samples < 1000 || samples > 100000000) {
    fprintf(stderr, "adapt: SAMPLES must be from 1000 to 100000000\n");
    return 2;
  }
  const carousel_trainer_options options = {.struct_size = sizeof options,
                                            .optimizer = {.learning_rate = 1e-3},
                                            .clip_norm = 1,
                                            .truncate_every = 1,
                                            .eligibility_traces = 1};
  carousel_network *network = NULL;
  carousel_trainer *trainer = NULL;
  struct errors errors = {{0}, {0}};
  carousel_status status = make_network(&network);
  if (status == CAROUSEL_OK) status = carousel_trainer_create(network, &options, &trainer);
  if (status == CAROUSEL_OK) status = learn(network, trainer, samples, &errors);
  carousel_trainer_free(trainer);
  carousel_network_free(network);
  if (status != CAROUSEL_OK) return carousel_failed();

  printf("Error of predictions (root mean square)\n\n  samples  learning    copy\n");
  for (int i = 0; i < PARTS; i++) {
    printf("%9d    %.4f", (i + 1) * (samples / PARTS), sqrt(errors.learning[i]));
    if (i >= COPIED) printf("  %.4f", sqrt(errors.frozen[i]));
    printf("%s\n", i == CHANGED ? "  the signal has changed" : "");
  }
  return 0;
}
