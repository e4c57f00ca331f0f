/* Carousel as a peer, through its C interface alone.
 *
 *   cc -O2 -D_GNU_SOURCE -I../../include carousel_lstm.c -o carousel_lstm -L../../build -lcarousel -lm
 *   ./carousel_lstm THREADS [bfloat16|int8]     (see worker.h)
 */
#include "worker.h"

#include <carousel.h>

/* What the weights are held in. */
static carousel_precision precision = CAROUSEL_PRECISION_FLOAT32;

typedef struct {
  const bench_workload *workload;
  const bench_data *data;
  int threads;
  carousel_network *network;
  carousel_stream *stream;
  float *output;
  carousel_tape *tape; /* of the last training step */
  int failed;
} program_state;

static carousel_array array_of(const float *values, int64_t a, int64_t b, int64_t c) {
  carousel_array array;
  memset(&array, 0, sizeof array);
  array.data = (void *)values;
  array.dtype = CAROUSEL_FLOAT32;
  array.rank = 3;
  array.shape[0] = a;
  array.shape[1] = b;
  array.shape[2] = c;
  return array;
}

/* All sequences are time-major, as the other engines get them. */
static carousel_array input_of(const program_state *p) {
  const bench_workload *w = p->workload;
  return array_of(p->data->x, w->time_steps, w->batch, w->input_size);
}
static carousel_array output_of(const program_state *p, const float *values) {
  const bench_workload *w = p->workload;
  return array_of(values, w->time_steps, w->batch, w->directions * w->hidden_size);
}
static carousel_run_options options_of(const program_state *p) {
  carousel_run_options options;
  CAROUSEL_INIT(options);
  options.time_major = 1;
  options.threads = p->threads;
  return options;
}

/* Any failure is kept, and shows when the outputs are asked for. */
static void check(program_state *p, carousel_status status) {
  if (status == CAROUSEL_OK || p->failed) return;
  p->failed = 1;
  fprintf(stderr, "%s\n", carousel_last_error_message());
}

static void call_step(void *state, long count) {
  program_state *p = state;
  carousel_status status = CAROUSEL_OK;
  for (long k = 0; k < count; k++) status |= carousel_stream_step(p->stream, p->data->x, p->output);
  check(p, status);
}

static void call_sequence(void *state, long count) {
  program_state *p = state;
  const carousel_array x = input_of(p), y = output_of(p, p->output);
  const carousel_run_options options = options_of(p);
  for (long k = 0; k < count; k++)
    check(p, carousel_network_run(p->network, &x, 1, &y, 1, &options));
}

static void call_training(void *state, long count) {
  program_state *p = state;
  const carousel_array x = input_of(p), dy = output_of(p, p->data->output_gradient);
  const carousel_run_options run = options_of(p);
  carousel_record_options options;
  CAROUSEL_INIT(options);
  options.run = &run;
  for (long k = 0; k < count; k++) {
    carousel_tape_free(p->tape);
    p->tape = NULL;
    check(p, carousel_network_record(p->network, &x, 1, &options, &p->tape));
    check(p, carousel_tape_backward(p->tape, &dy, 1, NULL, 0));
  }
}

static int write_output(void *state, FILE *file) {
  program_state *p = state;
  if (p->stream) {
    check(p, carousel_stream_reset(p->stream));
    call_step(p, BENCH_CHECKED_STEPS);
  } else {
    call_sequence(p, 1);
  }
  return p->failed || bench_write(file, p->output, bench_output_count(p->workload)) ? -1 : 0;
}

/* (in, 4 H) to (4 H, in). */
static int write_transposed(FILE *file, const float *values, long in, long columns) {
  for (long o = 0; o < columns; o++)
    for (long i = 0; i < in; i++)
      if (bench_write(file, values + i * columns + o, 1)) return -1;
  return 0;
}

static const float *gradient_of(program_state *p, const char *name) {
  void *gradients = NULL;
  size_t size = 0;
  carousel_parameter_info info;
  CAROUSEL_INIT(info);
  check(p, carousel_tape_get_parameter_gradients(p->tape, &gradients, &size));
  check(p, carousel_network_find_parameter(p->network, name, &info));
  return p->failed ? NULL : (const float *)gradients + info.offset;
}

static int write_gradients(void *state, FILE *file) {
  program_state *p = state;
  const bench_workload *w = p->workload;
  const int forward = w->directions == 2;
  const long columns = BENCH_GATES * w->hidden_size;
  const size_t count = (size_t)(w->time_steps * w->batch * w->input_size);
  call_training(p, 1);
  const float *kernel = gradient_of(p, forward ? "lstm_0/forward/kernel" : "lstm_0/kernel");
  const float *recurrent =
      gradient_of(p, forward ? "lstm_0/forward/recurrent_kernel" : "lstm_0/recurrent_kernel");
  const float *bias = gradient_of(p, forward ? "lstm_0/forward/bias" : "lstm_0/bias");
  float *dx = malloc(count * sizeof *dx);
  if (!dx) return -1;
  const carousel_array dx_array = array_of(dx, w->time_steps, w->batch, w->input_size);
  check(p, carousel_tape_get_input_gradient(p->tape, 0, &dx_array));
  int failed = p->failed || bench_write(file, dx, count);
  free(dx);
  failed = failed || write_transposed(file, kernel, w->input_size, columns);
  failed = failed || write_transposed(file, recurrent, w->hidden_size, columns);
  return failed || bench_write(file, bias, (size_t)columns) ? -1 : 0;
}

static void close_program(void *state) {
  program_state *p = state;
  carousel_tape_free(p->tape);
  carousel_stream_free(p->stream);
  carousel_network_free(p->network);
  free(p->output);
  free(p);
}

/* Our kernels are (in, 4 H); the gates stand in the same order. */
static carousel_status set_parameter(carousel_network *network, const char *layer,
                                     const char *direction, const char *part, const float *rows,
                                     long in) {
  char name[96];
  carousel_parameter_info info;
  CAROUSEL_INIT(info);
  snprintf(name, sizeof name, "%s/%s%s", layer, direction, part);
  const carousel_status status = carousel_network_find_parameter(network, name, &info);
  if (status != CAROUSEL_OK) return status;
  const int64_t columns = info.count / in;
  float *to = info.data;
  for (int64_t i = 0; i < in; i++)
    for (int64_t o = 0; o < columns; o++) to[i * columns + o] = rows[o * in + i];
  return CAROUSEL_OK;
}

static carousel_status make_network(const bench_workload *w, const bench_data *data,
                                    carousel_network **network) {
  carousel_builder *builder = NULL;
  carousel_input_options input;
  CAROUSEL_INIT(input);
  input.features = w->input_size;
  input.time = -1;
  carousel_lstm_options lstm;
  CAROUSEL_INIT(lstm);
  lstm.units = w->hidden_size;
  lstm.recurrent.return_sequences = 1;
  lstm.recurrent.bidirectional =
      w->directions == 2 ? CAROUSEL_BIDIRECTIONAL_CONCAT : CAROUSEL_ONE_DIRECTION;
  char name[32];
  carousel_status status = carousel_builder_create("benchmark", &builder);
  if (status == CAROUSEL_OK) status = carousel_builder_add_input(builder, "input", &input);
  for (long l = 0; l < w->layers && status == CAROUSEL_OK; l++) {
    snprintf(name, sizeof name, "lstm_%ld", l);
    status = carousel_builder_add_lstm(builder, name, &lstm);
  }
  if (status == CAROUSEL_OK)
    status = carousel_builder_build(builder, CAROUSEL_FLOAT32, 0, network);
  carousel_builder_free(builder);
  for (long k = 0; k < w->layers * w->directions && status == CAROUSEL_OK; k++) {
    const bench_direction *d = &data->directions[k];
    const char *direction = w->directions == 1 ? "" : k % 2 ? "backward/" : "forward/";
    snprintf(name, sizeof name, "lstm_%ld", k / w->directions);
    status = set_parameter(*network, name, direction, "kernel", d->input_kernel, d->input_size);
    if (status == CAROUSEL_OK)
      status = set_parameter(*network, name, direction, "recurrent_kernel", d->recurrent_kernel,
                             w->hidden_size);
    if (status == CAROUSEL_OK)
      status = set_parameter(*network, name, direction, "bias", d->bias, 1);
  }
  return status != CAROUSEL_OK ? status : carousel_network_parameters_changed(*network);
}

static enum bench_outcome build(const bench_workload *w, const bench_data *data, int threads,
                                bench_program *program, char message[400]) {
  program_state *p = calloc(1, sizeof *p);
  if (!p) return BENCH_FAILED;
  p->workload = w;
  p->data = data;
  p->threads = threads;
  p->output = calloc(bench_output_count(w), sizeof *p->output);
  program->state = p;
  program->close = close_program;
  program->outputs = write_output;
  carousel_status status = p->output ? make_network(w, data, &p->network)
                                     : CAROUSEL_ERROR_OUT_OF_MEMORY;
  if (status == CAROUSEL_OK && precision != CAROUSEL_PRECISION_FLOAT32) {
    carousel_network *quantized = NULL;
    status = carousel_network_quantize(p->network, precision, &quantized);
    carousel_network_free(p->network);
    p->network = quantized;
  }
  if (strcmp(w->kind, "train") == 0 && precision != CAROUSEL_PRECISION_FLOAT32) {
    snprintf(message, 400, "inference only");
    close_program(p);
    program->state = NULL;
    return BENCH_SKIPPED;
  }
  if (strcmp(w->kind, "step") == 0) {
    program->call = call_step;
    if (status == CAROUSEL_OK) status = carousel_stream_create(p->network, w->batch, &p->stream);
    if (status == CAROUSEL_OK) status = carousel_stream_set_threads(p->stream, threads);
  } else if (strcmp(w->kind, "train") == 0) {
    program->call = call_training;
    program->outputs = write_gradients;
  } else {
    program->call = call_sequence;
  }
  if (status == CAROUSEL_OK) return BENCH_BUILT;
  snprintf(message, 400, "%.390s", carousel_last_error_message());
  close_program(p);
  program->state = NULL;
  return BENCH_FAILED;
}

int main(int argc, char **argv) {
  char version[96];
  const int threads = argc > 1 ? atoi(argv[1]) : 1;
  const char *held = argc > 2 ? argv[2] : "float32";
  if (strcmp(held, "bfloat16") == 0) precision = CAROUSEL_PRECISION_BFLOAT16;
  else if (strcmp(held, "int8") == 0) precision = CAROUSEL_PRECISION_INT8;
  else if (strcmp(held, "float32") != 0) return 2;
  if (carousel_set_threads(threads) != CAROUSEL_OK) return 1;
  snprintf(version, sizeof version, "Carousel %s from C, %s, weights in %s",
           carousel_version_string(), carousel_instruction_set(), held);
  return bench_main(threads, version, build);
}
