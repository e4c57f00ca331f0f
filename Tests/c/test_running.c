/* Whole sequences, streams, strides, time-major arrays, lengths, masks and states give the same
 * numbers, bit for bit. */
#include "harness.h"

enum { BATCH = 3, TIME = 7, IN = 3, OUT = 2 };

static float x[BATCH][TIME][IN];

static void run(
    carousel_network *network, const carousel_array *input, const carousel_array *output,
    const carousel_run_options *options) {
    SUCCEEDS(carousel_network_run(network, input, 1, output, 1, options));
}

static void test_queries(carousel_network *network) {
    carousel_network_info info;
    carousel_signal_info input, output;
    carousel_layer_info layer;
    carousel_state_info state;
    carousel_array shape;
    int64_t times[1] = {TIME};
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(output);
    CAROUSEL_INIT(layer);
    CAROUSEL_INIT(state);
    SUCCEEDS(carousel_network_get_info(network, &info));
    CHECK(info.input_count == 1 && info.output_count == 1 && info.layer_count == 4);
    CHECK(info.state_count == 4 && info.dtype == CAROUSEL_FLOAT32 && !info.is_stateful);
    /* 4 (3 + 5 + 1) 5 + 3 * 5, 4 (5 + 4 + 1) 4, (4 + 1) 2 */
    CHECK(info.weight_count == 180 + 15 + 160 + 10);
    SUCCEEDS(carousel_network_get_input(network, 0, &input));
    CHECK(input.rank == 3 && input.shape[0] == -1 && input.shape[1] == -1 && input.shape[2] == IN);
    CHECK(strcmp(input.name, "input") == 0 && !input.is_ids);
    SUCCEEDS(carousel_network_get_output(network, 0, &output));
    CHECK(strcmp(output.name, "head") == 0 && output.rank == 3 && output.shape[2] == OUT);
    SUCCEEDS(carousel_network_get_layer(network, 1, &layer));
    CHECK(strcmp(layer.name, "first") == 0 && strcmp(layer.kind, "LSTM") == 0);
    CHECK(layer.weight_count == 195 && layer.is_trainable);
    SUCCEEDS(carousel_network_get_state(network, 3, &state));
    CHECK(strcmp(state.layer_name, "second") == 0 && strcmp(state.name, "c") == 0);
    CHECK(state.width == 4 && state.layer == 2 && state.direction == 0);
    memset(&shape, 0x55, sizeof shape);
    SUCCEEDS(carousel_network_get_output_shape(network, 0, BATCH, times, 1, &shape));
    CHECK(shape.rank == 3 && shape.shape[0] == BATCH && shape.shape[1] == TIME);
    CHECK(shape.shape[2] == OUT && shape.dtype == CAROUSEL_FLOAT32 && shape.strides[0] == 0);
}

static void test_layouts(carousel_network *network, float whole[BATCH][TIME][OUT]) {
    static float time_major[TIME][BATCH][IN], time_major_out[TIME][BATCH][OUT];
    static double wide[BATCH][TIME][2 * IN], wide_out[BATCH][TIME][OUT];
    carousel_run_options options;
    carousel_array in, out;
    int b, t, j;
    CAROUSEL_INIT(options);
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++)
            for (j = 0; j < IN; j++) {
                time_major[t][b][j] = x[b][t][j];
                wide[b][t][2 * IN - 1 - 2 * j] = x[b][t][j];
            }
    /* By the flag. */
    options.time_major = 1;
    in = array_of(&time_major[0][0][0], 3, TIME, BATCH, IN);
    out = array_of(&time_major_out[0][0][0], 3, TIME, BATCH, OUT);
    run(network, &in, &out, &options);
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++)
            CHECK(memcmp(time_major_out[t][b], whole[b][t], sizeof whole[b][t]) == 0);
    /* By strides. */
    memset(time_major_out, 0, sizeof time_major_out);
    in = array_of(&time_major[0][0][0], 3, BATCH, TIME, IN);
    in.strides[0] = IN, in.strides[1] = BATCH * IN, in.strides[2] = 1;
    out = array_of(&time_major_out[0][0][0], 3, BATCH, TIME, OUT);
    out.strides[0] = OUT, out.strides[1] = BATCH * OUT, out.strides[2] = 1;
    run(network, &in, &out, NULL);
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++)
            CHECK(memcmp(time_major_out[t][b], whole[b][t], sizeof whole[b][t]) == 0);
    /* Doubles, with a negative stride and gaps. */
    in = array_of(NULL, 3, BATCH, TIME, IN);
    in.dtype = CAROUSEL_FLOAT64;
    in.data = &wide[0][0][2 * IN - 1];
    in.strides[0] = TIME * 2 * IN, in.strides[1] = 2 * IN, in.strides[2] = -2;
    out = array_of(NULL, 3, BATCH, TIME, OUT);
    out.dtype = CAROUSEL_FLOAT64;
    out.data = wide_out;
    run(network, &in, &out, NULL);
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++)
            for (j = 0; j < OUT; j++) CHECK((float)wide_out[b][t][j] == whole[b][t][j]);
}

static void test_streams(carousel_network *network, float whole[BATCH][TIME][OUT]) {
    carousel_stream *stream = NULL, *copy = NULL;
    carousel_stream_info info;
    float step_in[BATCH][IN], step_out[BATCH][OUT], steps_out[BATCH][TIME][OUT];
    unsigned char *state;
    int b, t;
    CAROUSEL_INIT(info);
    SUCCEEDS(carousel_stream_create(network, BATCH, &stream));
    SUCCEEDS(carousel_stream_get_info(stream, &info));
    CHECK(info.batch == BATCH && info.input_count == BATCH * IN);
    CHECK(info.output_count == BATCH * OUT);
    CHECK(info.state_size == BATCH * (5 + 5 + 4 + 4) * sizeof(float));
    state = malloc(info.state_size);
    for (t = 0; t < TIME; t++) {
        if (t == 3) {
            SUCCEEDS(carousel_stream_snapshot(stream, state, info.state_size));
            SUCCEEDS(carousel_stream_copy(stream, &copy));
        }
        for (b = 0; b < BATCH; b++) memcpy(step_in[b], x[b][t], sizeof step_in[b]);
        SUCCEEDS(carousel_stream_step(stream, &step_in[0][0], &step_out[0][0]));
        for (b = 0; b < BATCH; b++) CHECK(memcmp(step_out[b], whole[b][t], sizeof step_out[b]) == 0);
    }
    /* Back to step 3, twice: by the snapshot, and in the copy. */
    SUCCEEDS(carousel_stream_restore(stream, state, info.state_size));
    for (b = 0; b < BATCH; b++) memcpy(step_in[b], x[b][3], sizeof step_in[b]);
    SUCCEEDS(carousel_stream_step(stream, &step_in[0][0], &step_out[0][0]));
    for (b = 0; b < BATCH; b++) CHECK(memcmp(step_out[b], whole[b][3], sizeof step_out[b]) == 0);
    memset(step_out, 0, sizeof step_out);
    {
        carousel_array in = array_of(&step_in[0][0], 2, BATCH, IN, 0);
        carousel_array out = array_of(&step_out[0][0], 3, BATCH, 1, OUT);
        SUCCEEDS(carousel_stream_step_arrays(copy, &in, 1, &out, 1));
    }
    for (b = 0; b < BATCH; b++) CHECK(memcmp(step_out[b], whole[b][3], sizeof step_out[b]) == 0);
    FAILS(carousel_stream_restore(stream, state, info.state_size - 1), CAROUSEL_ERROR_SHAPE,
          "expected");
    /* From the beginning, all steps in one call. */
    SUCCEEDS(carousel_stream_reset(stream));
    SUCCEEDS(carousel_stream_steps(stream, &x[0][0][0], TIME, &steps_out[0][0][0]));
    CHECK(memcmp(steps_out, whole, sizeof steps_out) == 0);
    /* New weights count when the stream is told. */
    {
        carousel_parameter_info bias;
        CAROUSEL_INIT(bias);
        SUCCEEDS(carousel_network_find_parameter(network, "head/bias", &bias));
        CHECK(bias.count == OUT && bias.rank == 1 && bias.is_trainable);
        ((float *)bias.data)[0] += 100;
        SUCCEEDS(carousel_network_parameters_changed(network));
        SUCCEEDS(carousel_stream_reset(stream));
        SUCCEEDS(carousel_stream_steps(stream, &x[0][0][0], TIME, &steps_out[0][0][0]));
        CHECK(memcmp(steps_out, whole, sizeof steps_out) == 0);
        SUCCEEDS(carousel_stream_reset(stream));
        SUCCEEDS(carousel_stream_update_weights(stream));
        SUCCEEDS(carousel_stream_steps(stream, &x[0][0][0], TIME, &steps_out[0][0][0]));
        CHECK(fabsf(steps_out[0][0][0] - whole[0][0][0] - 100) < 1e-4f);
        ((float *)bias.data)[0] = 0;
        SUCCEEDS(carousel_network_parameters_changed(network));
    }
    free(state);
    carousel_stream_free(copy);
    carousel_stream_free(stream);
}

/* A stream goes on in another process: here, in another stream of another network handle. */
static void test_saved_streams(carousel_network *network, float whole[BATCH][TIME][OUT]) {
    const char *path = "test-running-stream.h5";
    carousel_network *loaded = NULL;
    carousel_stream *stream = NULL, *other = NULL, *wider = NULL;
    float first[BATCH][3][IN], rest[BATCH][TIME - 3][IN];
    float first_out[BATCH][3][OUT], rest_out[BATCH][TIME - 3][OUT];
    int b;
    for (b = 0; b < BATCH; b++) {
        memcpy(first[b], x[b], sizeof first[b]);
        memcpy(rest[b], x[b][3], sizeof rest[b]);
    }
    SUCCEEDS(carousel_stream_create(network, BATCH, &stream));
    SUCCEEDS(carousel_stream_steps(stream, &first[0][0][0], 3, &first_out[0][0][0]));
    SUCCEEDS(carousel_stream_save(stream, path, NULL));
    SUCCEEDS(carousel_network_load(path, NULL, &loaded));
    SUCCEEDS(carousel_stream_create(loaded, BATCH, &other));
    SUCCEEDS(carousel_stream_load(other, path));
    SUCCEEDS(carousel_stream_steps(other, &rest[0][0][0], TIME - 3, &rest_out[0][0][0]));
    for (b = 0; b < BATCH; b++) {
        CHECK(memcmp(first_out[b], whole[b], sizeof first_out[b]) == 0);
        CHECK(memcmp(rest_out[b], whole[b][3], sizeof rest_out[b]) == 0);
    }
    SUCCEEDS(carousel_stream_create(loaded, BATCH + 1, &wider));
    FAILS(carousel_stream_load(wider, path), CAROUSEL_ERROR_SHAPE, "states of the shapes");
    SUCCEEDS(carousel_network_save(network, path, NULL));
    FAILS(carousel_stream_load(other, path), CAROUSEL_ERROR_NOT_FOUND, "carousel_stream");
    carousel_stream_free(stream);
    carousel_stream_free(other);
    carousel_stream_free(wider);
    carousel_network_free(loaded);
    remove(path);
}

static void test_lengths(carousel_network *network) {
    int64_t lengths[BATCH] = {TIME, 4, 0};
    uint8_t mask[BATCH][TIME];
    float padded[BATCH][TIME][OUT], masked[BATCH][TIME][OUT], alone[4][OUT];
    float finals[4][BATCH * 5], alone_finals[4][5];
    carousel_array states[4], alone_states[4], in, out;
    carousel_run_options options;
    int b, t, i;
    CAROUSEL_INIT(options);
    for (i = 0; i < 4; i++) {
        states[i] = array_of(finals[i], 2, BATCH, i < 2 ? 5 : 4, 0);
        alone_states[i] = array_of(alone_finals[i], 2, 1, i < 2 ? 5 : 4, 0);
    }
    options.lengths = lengths;
    options.final_states = states;
    options.final_state_count = 4;
    in = array_of(&x[0][0][0], 3, BATCH, TIME, IN);
    out = array_of(&padded[0][0][0], 3, BATCH, TIME, OUT);
    run(network, &in, &out, &options);
    /* Row 1 is as if it had come alone with its four steps, and ends with its own state. */
    in = array_of(&x[1][0][0], 3, 1, 4, IN);
    out = array_of(&alone[0][0], 3, 1, 4, OUT);
    CAROUSEL_INIT(options);
    options.final_states = alone_states;
    options.final_state_count = 4;
    run(network, &in, &out, &options);
    CHECK(memcmp(padded[1], alone, sizeof alone) == 0);
    for (i = 0; i < 4; i++) {
        int width = i < 2 ? 5 : 4;
        CHECK(memcmp(&finals[i][width], alone_finals[i], (size_t)width * sizeof(float)) == 0);
        for (t = 0; t < width; t++) CHECK(finals[i][2 * width + t] == 0);
    }
    /* The same by a mask. */
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++) mask[b][t] = t < lengths[b];
    CAROUSEL_INIT(options);
    options.mask = &mask[0][0];
    options.padding = CAROUSEL_PADDING_ZERO;
    in = array_of(&x[0][0][0], 3, BATCH, TIME, IN);
    out = array_of(&masked[0][0][0], 3, BATCH, TIME, OUT);
    run(network, &in, &out, &options);
    CHECK(memcmp(padded, masked, sizeof padded) == 0);
    lengths[1] = TIME + 1;
    CAROUSEL_INIT(options);
    options.lengths = lengths;
    FAILS(carousel_network_run(network, &in, 1, &out, 1, &options), CAROUSEL_ERROR_SHAPE,
          "lengths[1] is 8, expected 0 to 7");
}

static void test_states(carousel_network *network, float whole[BATCH][TIME][OUT]) {
    /* Three steps, then the rest from where they ended. */
    float part[BATCH][TIME][OUT], state[4][BATCH * 5];
    carousel_array states[4], in, out;
    carousel_run_options options;
    int i, b, t;
    for (i = 0; i < 4; i++) states[i] = array_of(state[i], 2, BATCH, i < 2 ? 5 : 4, 0);
    in = array_of(&x[0][0][0], 3, BATCH, 3, IN);
    in.strides[0] = TIME * IN, in.strides[1] = IN, in.strides[2] = 1;
    out = array_of(&part[0][0][0], 3, BATCH, 3, OUT);
    out.strides[0] = TIME * OUT, out.strides[1] = OUT, out.strides[2] = 1;
    CAROUSEL_INIT(options);
    options.final_states = states;
    options.final_state_count = 4;
    run(network, &in, &out, &options);
    in.data = &x[0][3][0], in.shape[1] = TIME - 3;
    out.data = &part[0][3][0], out.shape[1] = TIME - 3;
    CAROUSEL_INIT(options);
    options.initial_states = states;
    options.initial_state_count = 4;
    run(network, &in, &out, &options);
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++) CHECK(memcmp(part[b][t], whole[b][t], sizeof part[b][t]) == 0);
    options.initial_state_count = 3;
    FAILS(carousel_network_run(network, &in, 1, &out, 1, &options), CAROUSEL_ERROR_SHAPE,
          "initial_state_count is 3, expected 4");
}

static void test_empty(carousel_network *network) {
    carousel_array in = array_of(NULL, 3, BATCH, 0, IN), out = array_of(NULL, 3, BATCH, 0, OUT);
    run(network, &in, &out, NULL);
    SUCCEEDS(carousel_network_forward(network, NULL, BATCH, 0, NULL, 0));
}

/* Weights in reduced precision: the same bits in a stream, errors that are measured. */
static void test_quantization(carousel_network *network, float whole[BATCH][TIME][OUT]) {
    carousel_precision precisions[] = {CAROUSEL_PRECISION_BFLOAT16, CAROUSEL_PRECISION_INT8};
    carousel_array in = array_of(&x[0][0][0], 3, BATCH, TIME, IN);
    size_t p, i;
    for (p = 0; p < 2; p++) {
        carousel_network *small = NULL;
        carousel_network *back = NULL;
        carousel_stream *stream = NULL;
        carousel_network_info info;
        carousel_quantization_info layer;
        carousel_output_error error;
        carousel_parameter_info parameter;
        float found[BATCH][TIME][OUT], steps[BATCH][TIME][OUT], exact[4 * 2], rounded[4 * 2];
        double largest = 0, gap;
        void *data;
        size_t size;
        SUCCEEDS(carousel_network_quantize(network, precisions[p], &small));
        CAROUSEL_INIT(info);
        SUCCEEDS(carousel_network_get_info(small, &info));
        CHECK(info.precision == precisions[p] && info.dtype == CAROUSEL_FLOAT32);
        SUCCEEDS(carousel_network_forward(
            small, &x[0][0][0], BATCH, TIME, &found[0][0][0], BATCH * TIME * OUT));
        SUCCEEDS(carousel_stream_create(small, BATCH, &stream));
        SUCCEEDS(carousel_stream_steps(stream, &x[0][0][0], TIME, &steps[0][0][0]));
        CHECK(memcmp(found, steps, sizeof found) == 0);
        for (i = 0; i < BATCH * TIME * OUT; i++) {
            gap = fabs((double)(&found[0][0][0])[i] - (double)(&whole[0][0][0])[i]);
            if (gap > largest) largest = gap;
        }
        CAROUSEL_INIT(error);
        SUCCEEDS(carousel_network_measure_error(small, network, &in, 1, NULL, &error, 1));
        CHECK(error.max_error == largest && largest > 0 && largest < 0.02);
        CHECK(error.rms_error > 0 && error.rms_error <= largest);
        CHECK(fabs(error.relative_error * error.rms_reference / error.rms_error - 1) < 1e-12);
        SUCCEEDS(carousel_network_measure_error(network, network, &in, 1, NULL, &error, 1));
        CHECK(error.max_error == 0 && error.max_reference > 0);

        /* The last layer's kernel, as it is and as it was. */
        CAROUSEL_INIT(parameter);
        SUCCEEDS(carousel_network_find_parameter(small, "head/kernel", &parameter));
        CHECK(parameter.data == NULL && parameter.offset == -1 && parameter.count == 8);
        i = info.parameter_count - 2;
        SUCCEEDS(carousel_network_read_parameter(small, i, rounded, sizeof rounded));
        SUCCEEDS(carousel_network_read_parameter(network, i, exact, sizeof exact));
        for (largest = 0, i = 0; i < 8; i++) {
            gap = fabs((double)rounded[i] - (double)exact[i]);
            if (gap > largest) largest = gap;
        }
        CAROUSEL_INIT(layer);
        SUCCEEDS(carousel_network_get_quantization(small, info.layer_count - 1, &layer));
        CHECK(layer.precision == precisions[p] && layer.weight_count == 8);
        CHECK(layer.max_error == largest && layer.rms_error > 0 && layer.relative_error < 0.02);
        SUCCEEDS(carousel_network_get_quantization(network, info.layer_count - 1, &layer));
        CHECK(layer.precision == CAROUSEL_PRECISION_FLOAT32 && layer.weight_count == 0);
        CHECK(layer.max_error == 0 && layer.size == (8 + 2) * sizeof(float));

        /* What needs float32 weights. */
        FAILS(carousel_network_get_parameter_buffer(small, &data, &size), CAROUSEL_ERROR_STATE,
              p ? "weights are int8" : "weights are bfloat16");
        FAILS(carousel_network_initialize(small, 1), CAROUSEL_ERROR_STATE, "weights are");
        SUCCEEDS(carousel_network_quantize(small, CAROUSEL_PRECISION_FLOAT32, &back));
        SUCCEEDS(carousel_network_get_parameter_buffer(back, &data, &size));
        carousel_network_free(back);
        carousel_stream_free(stream);
        carousel_network_free(small);
    }
}

int main(void) {
    carousel_network *network = make_network(CAROUSEL_FLOAT32, 1), *copy = NULL, *again = NULL;
    float whole[BATCH][TIME][OUT], other[BATCH][TIME][OUT];
    char json[8192];
    fill_randomly(&x[0][0][0], sizeof x / sizeof(float), 1);
    test_queries(network);
    SUCCEEDS(carousel_network_forward(
        network, &x[0][0][0], BATCH, TIME, &whole[0][0][0], BATCH * TIME * OUT));
    FAILS(carousel_network_forward(
              network, &x[0][0][0], BATCH, TIME, &whole[0][0][0], BATCH * TIME * OUT - 1),
          CAROUSEL_ERROR_SHAPE, "output_count is 41, but the output has 42 values");
    test_layouts(network, whole);
    test_streams(network, whole);
    test_saved_streams(network, whole);
    test_lengths(network);
    test_states(network, whole);
    test_empty(network);
    test_quantization(network, whole);
    /* A copy, and the same network by way of JSON. */
    SUCCEEDS(carousel_network_copy(network, &copy));
    SUCCEEDS(carousel_network_forward(
        copy, &x[0][0][0], BATCH, TIME, &other[0][0][0], BATCH * TIME * OUT));
    CHECK(memcmp(whole, other, sizeof whole) == 0);
    SUCCEEDS(carousel_network_to_json(network, json, sizeof json, NULL));
    SUCCEEDS(carousel_network_from_json(json, CAROUSEL_FLOAT32, 42, &again));
    memset(other, 0, sizeof other);
    SUCCEEDS(carousel_network_forward(
        again, &x[0][0][0], BATCH, TIME, &other[0][0][0], BATCH * TIME * OUT));
    CHECK(memcmp(whole, other, sizeof whole) == 0);
    carousel_network_free(again);
    carousel_network_free(copy);
    carousel_network_free(network);
    return finish();
}
