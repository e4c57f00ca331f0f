/* The gradients of a tape against finite differences, in float64, for parameters, inputs and initial
 * states; and what the tape recorded against the equations. */
#include "harness.h"

enum { BATCH = 2, TIME = 4, IN = 3, OUT = 2, STATES = 4 };

static double x[BATCH * TIME * IN], weight[BATCH * OUT], state[STATES][BATCH * 5];
static carousel_array input, states[STATES];

static carousel_array doubles(double *data, int32_t rank, int64_t a, int64_t b, int64_t c) {
    carousel_array array = array_of(NULL, rank, a, b, c);
    array.data = data;
    array.dtype = CAROUSEL_FLOAT64;
    return array;
}

/* The loss: a fixed linear function of the output. */
static double loss(carousel_network *network) {
    double y[BATCH * OUT], sum = 0;
    carousel_array output = doubles(y, 2, BATCH, OUT, 0);
    carousel_run_options options;
    int i;
    CAROUSEL_INIT(options);
    options.initial_states = states;
    options.initial_state_count = STATES;
    SUCCEEDS(carousel_network_parameters_changed(network));
    SUCCEEDS(carousel_network_run(network, &input, 1, &output, 1, &options));
    for (i = 0; i < BATCH * OUT; i++) sum += weight[i] * y[i];
    return sum;
}

static void compare(carousel_network *network, double *value, double gradient) {
    const double step = 1e-6, kept = *value;
    double difference;
    *value = kept + step;
    difference = loss(network);
    *value = kept - step;
    difference = (difference - loss(network)) / (2 * step);
    *value = kept;
    CHECK(fabs(difference - gradient) < 1e-7 * (1 + fabs(gradient)));
}

int main(void) {
    carousel_network *network = make_network(CAROUSEL_FLOAT64, 0);
    carousel_network_info info;
    carousel_record_options options;
    carousel_run_options run;
    carousel_tape *tape = NULL;
    carousel_array gradient, shape;
    void *values = NULL, *gradients = NULL;
    double into[BATCH * TIME * IN], gates[BATCH * TIME * 5], norms[TIME], cells[BATCH * TIME * 5];
    size_t size = 0, gradient_size = 0, tape_size = 0, p;
    int64_t times[1] = {TIME};
    uint32_t seed = 7;
    int i, s;

    for (i = 0; i < BATCH * TIME * IN; i++) x[i] = random_number(&seed);
    for (i = 0; i < BATCH * OUT; i++) weight[i] = random_number(&seed);
    for (s = 0; s < STATES; s++) {
        for (i = 0; i < BATCH * 5; i++) state[s][i] = random_number(&seed);
        states[s] = doubles(state[s], 2, BATCH, s < 2 ? 5 : 4, 0);
    }
    input = doubles(x, 3, BATCH, TIME, IN);
    CAROUSEL_INIT(info);
    SUCCEEDS(carousel_network_get_info(network, &info));
    SUCCEEDS(carousel_network_get_parameter_buffer(network, &values, &size));
    SUCCEEDS(carousel_network_get_tape_size(network, BATCH, times, 1, &tape_size));
    CHECK(tape_size > 1000 && tape_size < 1000000);

    CAROUSEL_INIT(options);
    CAROUSEL_INIT(run);
    run.initial_states = states;
    run.initial_state_count = STATES;
    options.run = &run;
    options.gradient_flow = 1;
    SUCCEEDS(carousel_network_record(network, &input, 1, &options, &tape));
    FAILS(carousel_tape_get_parameter_gradients(tape, &gradients, &gradient_size),
          CAROUSEL_ERROR_STATE, "after a backward pass");
    FAILS(carousel_tape_get_trace_shape(tape, "first", CAROUSEL_TRACE_CELL_DELTA, 0, &shape),
          CAROUSEL_ERROR_STATE, "after a backward pass");
    gradient = doubles(weight, 2, BATCH, OUT, 0);
    SUCCEEDS(carousel_tape_backward(tape, &gradient, 1, NULL, 0));
    /* Once more: the gradients are those of the last call, not a sum. */
    SUCCEEDS(carousel_tape_backward(tape, &gradient, 1, NULL, 0));
    SUCCEEDS(carousel_tape_get_parameter_gradients(tape, &gradients, &gradient_size));
    CHECK(gradient_size == size);

    for (p = 0; p < info.parameter_count; p++) {
        carousel_parameter_info parameter;
        CAROUSEL_INIT(parameter);
        SUCCEEDS(carousel_network_get_parameter(network, p, &parameter));
        CHECK((double *)values + parameter.offset == (double *)parameter.data);
        for (i = 0; i < parameter.count; i++)
            compare(network, (double *)parameter.data + i,
                    ((double *)gradients)[parameter.offset + i]);
    }
    gradient = doubles(into, 3, BATCH, TIME, IN);
    SUCCEEDS(carousel_tape_get_input_gradient(tape, 0, &gradient));
    for (i = 0; i < BATCH * TIME * IN; i++) compare(network, &x[i], into[i]);
    for (s = 0; s < STATES; s++) {
        gradient = doubles(into, 2, BATCH, s < 2 ? 5 : 4, 0);
        SUCCEEDS(carousel_tape_get_initial_state_gradient(tape, (size_t)s, &gradient));
        for (i = 0; i < BATCH * (s < 2 ? 5 : 4); i++) compare(network, &state[s][i], into[i]);
    }

    SUCCEEDS(carousel_tape_get_trace_shape(tape, "first", CAROUSEL_TRACE_FORGET_GATE, 0, &shape));
    CHECK(shape.rank == 3 && shape.shape[0] == BATCH && shape.shape[1] == TIME);
    CHECK(shape.shape[2] == 5 && shape.dtype == CAROUSEL_FLOAT64);
    shape.data = gates;
    SUCCEEDS(carousel_tape_get_trace(tape, "first", CAROUSEL_TRACE_FORGET_GATE, 0, &shape));
    for (i = 0; i < BATCH * TIME * 5; i++) CHECK(gates[i] > 0 && gates[i] < 1);
    /* h = o tanh(c). */
    shape.data = cells;
    SUCCEEDS(carousel_tape_get_trace(tape, "first", CAROUSEL_TRACE_CELL, 0, &shape));
    shape.data = gates;
    SUCCEEDS(carousel_tape_get_trace(tape, "first", CAROUSEL_TRACE_OUTPUT_GATE, 0, &shape));
    for (i = 0; i < BATCH * TIME * 5; i++) cells[i] = gates[i] * tanh(cells[i]);
    SUCCEEDS(carousel_tape_get_trace(tape, "first", CAROUSEL_TRACE_HIDDEN, 0, &shape));
    for (i = 0; i < BATCH * TIME * 5; i++) CHECK(fabs(cells[i] - gates[i]) < 1e-12);
    SUCCEEDS(carousel_tape_get_trace_shape(
        tape, "second", CAROUSEL_TRACE_CELL_GRADIENT_NORM, 0, &shape));
    CHECK(shape.rank == 1 && shape.shape[0] == TIME);
    shape.data = norms;
    SUCCEEDS(carousel_tape_get_trace(
        tape, "second", CAROUSEL_TRACE_CELL_GRADIENT_NORM, 0, &shape));
    for (i = 0; i < TIME; i++) CHECK(norms[i] > 0);
    FAILS(carousel_tape_get_trace_shape(tape, "third", CAROUSEL_TRACE_CELL, 0, &shape),
          CAROUSEL_ERROR_NOT_FOUND, "'third'");
    FAILS(carousel_tape_get_trace_shape(tape, "first", CAROUSEL_TRACE_RESET_GATE, 0, &shape),
          CAROUSEL_ERROR_NOT_FOUND, "no field");
    carousel_network_free(network);
    /* The tape keeps what it needs. */
    gradient = doubles(weight, 2, BATCH, OUT, 0);
    SUCCEEDS(carousel_tape_backward(tape, &gradient, 1, NULL, 0));
    carousel_tape_free(tape);
    return finish();
}
