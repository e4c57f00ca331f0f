/* Graphs built from C: states of one layer as initial states of another, a layer called twice, a
 * backward half of its own. Each must give, bit for bit, what its parts give by themselves. */
#include "harness.h"

enum { BATCH = 2, TIME = 5, IN = 3, UNITS = 4 };

static float x[BATCH][TIME][IN];

static carousel_builder *begin(void) {
    carousel_builder *builder = NULL;
    carousel_input_options input;
    CAROUSEL_INIT(input);
    input.features = IN;
    input.time = -1;
    SUCCEEDS(carousel_builder_create("graph", &builder));
    SUCCEEDS(carousel_builder_add_input(builder, "input", &input));
    return builder;
}

static void add_lstm(
    carousel_builder *builder, const char *name, int32_t backwards,
    carousel_bidirectional bidirectional) {
    carousel_lstm_options lstm;
    CAROUSEL_INIT(lstm);
    lstm.units = UNITS;
    lstm.recurrent.return_sequences = 1;
    lstm.recurrent.go_backwards = backwards;
    lstm.recurrent.bidirectional = bidirectional;
    SUCCEEDS(carousel_builder_add_lstm(builder, name, &lstm));
}

static carousel_network *build(carousel_builder *builder) {
    carousel_network *network = NULL;
    SUCCEEDS(carousel_builder_build(builder, CAROUSEL_FLOAT32, 7, &network));
    carousel_builder_free(builder);
    if (!network) exit(1);
    return network;
}

/* A network of one LSTM. */
static carousel_network *single(const char *name, int32_t backwards) {
    carousel_builder *builder = begin();
    add_lstm(builder, name, backwards, CAROUSEL_ONE_DIRECTION);
    return build(builder);
}

/* Copies the parameter `from` of one network into the parameter `to` of another. */
static void give(carousel_network *source, const char *from, carousel_network *target, const char *to) {
    carousel_parameter_info there, here;
    CAROUSEL_INIT(there);
    CAROUSEL_INIT(here);
    SUCCEEDS(carousel_network_find_parameter(source, from, &there));
    SUCCEEDS(carousel_network_find_parameter(target, to, &here));
    CHECK(here.count == there.count);
    memcpy(here.data, there.data, (size_t)here.count * sizeof(float));
    SUCCEEDS(carousel_network_parameters_changed(target));
}

static void give_cell(
    carousel_network *source, const char *from, carousel_network *target, const char *to) {
    static const char *const roles[] = {"kernel", "recurrent_kernel", "bias"};
    char one[64], other[64];
    size_t i;
    for (i = 0; i < sizeof roles / sizeof *roles; i++) {
        snprintf(one, sizeof one, "%s/%s", from, roles[i]);
        snprintf(other, sizeof other, "%s/%s", to, roles[i]);
        give(source, one, target, other);
    }
}

static void run(
    carousel_network *network, const carousel_array *output, const carousel_run_options *options) {
    carousel_array input = array_of(&x[0][0][0], 3, BATCH, TIME, IN);
    SUCCEEDS(carousel_network_run(network, &input, 1, output, 1, options));
}

/* The decoder begins with h and c of the encoder: as a run with those states given. */
static void test_states(void) {
    static const char *const encoder[] = {"encoder"};
    static const char *const decoder[] = {"input", "h", "c"};
    static float whole[BATCH][TIME][UNITS], alone[BATCH][TIME][UNITS], state[2][BATCH][UNITS];
    carousel_array states[2], out = array_of(&whole[0][0][0], 3, BATCH, TIME, UNITS);
    carousel_network *graph, *first = single("encoder", 0), *second = single("decoder", 0);
    carousel_stream *stream = NULL;
    carousel_run_options options;
    carousel_builder *builder = begin();
    add_lstm(builder, "encoder", 0, CAROUSEL_ONE_DIRECTION);
    SUCCEEDS(carousel_builder_add_final_state(builder, "h", 0));
    SUCCEEDS(carousel_builder_read(builder, encoder, 1));
    SUCCEEDS(carousel_builder_add_final_state(builder, "c", 1));
    SUCCEEDS(carousel_builder_read(builder, decoder, 3));
    add_lstm(builder, "decoder", 0, CAROUSEL_ONE_DIRECTION);
    graph = build(builder);
    give_cell(graph, "encoder", first, "encoder");
    give_cell(graph, "decoder", second, "decoder");
    run(graph, &out, NULL);
    states[0] = array_of(&state[0][0][0], 2, BATCH, UNITS, 0);
    states[1] = array_of(&state[1][0][0], 2, BATCH, UNITS, 0);
    out = array_of(&alone[0][0][0], 3, BATCH, TIME, UNITS);
    CAROUSEL_INIT(options);
    options.final_states = states;
    options.final_state_count = 2;
    run(first, &out, &options);
    CAROUSEL_INIT(options);
    options.initial_states = states;
    options.initial_state_count = 2;
    run(second, &out, &options);
    CHECK(memcmp(whole, alone, sizeof whole) == 0);
    run(second, &out, NULL);
    CHECK(memcmp(whole, alone, sizeof whole) != 0);
    FAILS(carousel_stream_create(graph, 1, &stream), CAROUSEL_ERROR_UNSUPPORTED, "decoder");
    carousel_network_free(graph);
    carousel_network_free(first);
    carousel_network_free(second);
}

/* A Dense layer called again has the same weights, and the network counts them once. */
static void test_sharing(void) {
    static float twice[BATCH][TIME][IN], steps[BATCH][TIME][IN], last[BATCH][TIME][IN];
    carousel_array in, out = array_of(&twice[0][0][0], 3, BATCH, TIME, IN);
    carousel_network *graph, *once;
    carousel_network_info info;
    carousel_dense_options dense;
    carousel_builder *builder = begin();
    CAROUSEL_INIT(info);
    CAROUSEL_INIT(dense);
    dense.units = IN;
    dense.activation.kind = CAROUSEL_ACTIVATION_TANH;
    SUCCEEDS(carousel_builder_add_dense(builder, "mix", &dense));
    SUCCEEDS(carousel_builder_share(builder, "mix"));
    SUCCEEDS(carousel_builder_add_dense(builder, "again", &dense));
    graph = build(builder);
    builder = begin();
    SUCCEEDS(carousel_builder_add_dense(builder, "mix", &dense));
    once = build(builder);
    SUCCEEDS(carousel_network_get_info(graph, &info));
    CHECK(info.weight_count == IN * IN + IN);
    give(graph, "mix/kernel", once, "mix/kernel");
    give(graph, "mix/bias", once, "mix/bias");
    run(graph, &out, NULL);
    out = array_of(&steps[0][0][0], 3, BATCH, TIME, IN);
    run(once, &out, NULL);
    in = out;
    out = array_of(&last[0][0][0], 3, BATCH, TIME, IN);
    SUCCEEDS(carousel_network_run(once, &in, 1, &out, 1, NULL));
    CHECK(memcmp(twice, last, sizeof last) == 0);
    carousel_network_free(graph);
    carousel_network_free(once);
}

/* A backward half of its own, which here reads forwards, too: the halves beside each other. */
static void test_backward_half(void) {
    static float both[BATCH][TIME][2 * UNITS], alone[2][BATCH][TIME][UNITS];
    carousel_network *graph, *halves[2];
    carousel_array out = array_of(&both[0][0][0], 3, BATCH, TIME, 2 * UNITS);
    static const char *const names[] = {"both/forward", "both/backward"};
    carousel_builder *builder = begin();
    int half, b, t, steps_back;
    add_lstm(builder, "both", 0, CAROUSEL_BIDIRECTIONAL_CONCAT);
    SUCCEEDS(carousel_builder_set_backward(builder, "both"));
    add_lstm(builder, "unused", 1, CAROUSEL_ONE_DIRECTION);
    graph = build(builder);
    run(graph, &out, NULL);
    for (half = 0; half < 2; half++) {
        halves[half] = single("half", half);
        give_cell(graph, names[half], halves[half], "half");
        out = array_of(&alone[half][0][0][0], 3, BATCH, TIME, UNITS);
        run(halves[half], &out, NULL);
        carousel_network_free(halves[half]);
    }
    for (b = 0; b < BATCH; b++)
        for (t = 0; t < TIME; t++) {
            /* A layer that goes backwards returns its last step first; the pair puts it in order. */
            steps_back = TIME - 1 - t;
            CHECK(memcmp(both[b][t], alone[0][b][t], sizeof alone[0][b][t]) == 0);
            CHECK(memcmp(both[b][t] + UNITS, alone[1][b][steps_back], sizeof alone[1][b][t]) == 0);
        }
    carousel_network_free(graph);
}

int main(void) {
    fill_randomly(&x[0][0][0], sizeof x / sizeof(float), 11);
    test_states();
    test_sharing();
    test_backward_half();
    return finish();
}
