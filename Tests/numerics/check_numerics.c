/* Every activation on every float, in the best instruction set of this machine (and on a part of them in
 * all its sets), against the same function in double precision: the largest error in units in the
 * last place, where it is, whether a function that rises rises everywhere, and what it makes of
 * zeros, infinities and NaN. Fails if an error is larger than docs/numerics.md says.
 *
 * usage: check-numerics [--every N] [NAME...]       N: only every N-th float; NAME: only these */
#include <carousel.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 4096, ROWS = 16, BLOCK = WIDTH * ROWS, SETS = 4, THREADS = 2 };
enum { OTHERS = 1009 }; /* all sets are tried on one float in so many */

/* ---- the functions, in double precision ---- */

/* Most floats are far from 0 or near it. There the C library's functions are what these say, to double
 * precision, and take a tenth of the time. */
static double exp_of(double x) {
    if (x < -120) return 0;
    if (x > 120) return INFINITY;
    return fabs(x) < 1e-6 ? 1 + x * (1 + x / 2) : exp(x);
}
static double expm1_of(double x) {
    if (x < -45) return -1;
    return fabs(x) < 1e-6 ? x * (1 + x / 2) : expm1(x);
}
static double tanh_of(double x) {
    if (fabs(x) > 25) return copysign(1, x);
    return fabs(x) < 1e-4 ? x * (1 - x * x / 3) : tanh(x);
}
static double sigmoid(double x) {
    double e;
    if (x >= 0) return 1 / (1 + exp_of(-x));
    e = exp_of(x);
    return e / (1 + e);
}
static double linear(double x) { return x; }
static double clip_to_unit(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static double hard_sigmoid(double x) { return clip_to_unit(x / 6 + 0.5); }
static double hard_sigmoid_keras2(double x) { return clip_to_unit(0.2 * x + 0.5); }
static double elu(double x) { return x > 0 ? x : expm1_of(x); }
static double selu(double x) {
    return 1.050700987355480493419334985294 *
        (x > 0 ? x : 1.673263242354377284817042991671 * expm1_of(x));
}
static double relu(double x) { return x < 0 ? 0 : x; }
static double gelu(double x) {
    if (fabs(x) > 20) return x > 0 ? x : 0;
    return fabs(x) < 1e-9 ? 0.5 * x : 0.5 * x * erfc(-x / sqrt(2));
}
static double gelu_tanh(double x) {
    /* (1 + tanh u) / 2 is sigmoid(2u), which does not cancel. */
    if (x < -1e9) return 0;
    return x * sigmoid(2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x));
}
static double silu(double x) { return x < -1e9 ? 0 : x * sigmoid(x); }
static double softplus(double x) {
    const double e = exp_of(-fabs(x));
    return fmax(x, 0) + (e < 1e-12 ? e : log1p(e)) + 0 * (x != x ? x : 0);
}
static double softsign(double x) { return isinf(x) ? copysign(1, x) : x / (1 + fabs(x)); }

typedef struct function {
    const char *name;
    carousel_activation_kind kind;
    double (*value)(double);
    int rises;
    /* Largest error, in ulp of the result; where an ulp is smaller than `floor`, in floors. */
    double bound, floor;
    /* Largest fall of a function that should rise, in ulp. */
    double fall;
} function;

static const function functions[] = {
    {"linear", CAROUSEL_ACTIVATION_LINEAR, linear, 1, 0, 0, 0},
    {"tanh", CAROUSEL_ACTIVATION_TANH, tanh_of, 1, 3, 0, 4},
    {"sigmoid", CAROUSEL_ACTIVATION_SIGMOID, sigmoid, 1, 3, 0, 4},
    {"hard_sigmoid", CAROUSEL_ACTIVATION_HARD_SIGMOID, hard_sigmoid, 1, 1, 0x1p-24, 0},
    {"hard_sigmoid_keras2", CAROUSEL_ACTIVATION_HARD_SIGMOID_KERAS2, hard_sigmoid_keras2, 1, 1,
     0x1p-24, 0},
    {"relu", CAROUSEL_ACTIVATION_RELU, relu, 1, 0, 0, 0},
    {"elu", CAROUSEL_ACTIVATION_ELU, elu, 1, 3, 0, 4},
    {"selu", CAROUSEL_ACTIVATION_SELU, selu, 1, 3, 0, 4},
    {"gelu", CAROUSEL_ACTIVATION_GELU, gelu, 0, 6, 1e-8, 0},
    {"gelu_tanh", CAROUSEL_ACTIVATION_GELU_TANH, gelu_tanh, 0, 6, 1e-8, 0},
    {"silu", CAROUSEL_ACTIVATION_SILU, silu, 0, 4, 1e-43, 0},
    {"softplus", CAROUSEL_ACTIVATION_SOFTPLUS, softplus, 1, 3, 0, 3},
    {"softsign", CAROUSEL_ACTIVATION_SOFTSIGN, softsign, 1, 2, 0, 2},
    {"exponential", CAROUSEL_ACTIVATION_EXPONENTIAL, exp_of, 1, 2, 0, 2},
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

/* ---- one thread's share of the floats ---- */

typedef struct result {
    double error;     /* largest, in ulp */
    float at;         /* its input */
    uint64_t wrong;   /* values that are not the correctly rounded ones */
    uint64_t falls;   /* places where the function falls */
    double fall;      /* farthest, in ulp */
    uint64_t not_nan; /* NaN that became a number, or a number NaN */
    uint64_t differs; /* values whose bits differ from the last instruction set's */
} result;

typedef struct share {
    const function *function;
    uint64_t first, end, step;
    carousel_network *network;
    const char *const *sets; /* with more than one there is one thread: the choice is the process's */
    int set_count;
    result results[SETS];
} share;

/* Floats in ascending order: NaN, -infinity ... -0, 0 ... infinity, NaN. */
static float ordered(uint64_t index) {
    uint32_t bits = (uint32_t)index;
    float value;
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Distance of a finite float to the next larger in size. */
static double unit(float value, double floor) {
    float size = fmaxf(fabsf(value), FLT_MIN); /* below, floats are as far apart as at FLT_MIN */
    double spacing = size >= 0x1p127f ? 0x1p104 : (double)nextafterf(size, INFINITY) - size;
    return fmax(spacing, floor);
}

/* A value that is infinite counts as the power of two behind the largest float. */
static double finite(double value) { return isinf(value) ? copysign(0x1p128, value) : value; }

static void compare(
    share *work, int set, const float *x, const double *expected, const float *y, float *last,
    int count) {
    result *found = &work->results[set];
    double floor = work->function->floor;
    int i;
    for (i = 0; i < count; i++) {
        float rounded = (float)expected[i];
        double error;
        if (rounded != rounded || y[i] != y[i]) {
            if ((rounded != rounded) != (y[i] != y[i])) found->not_nan++;
            continue;
        }
        if (*last > y[i]) {
            double fall = ((double)*last - y[i]) / unit(y[i], 0);
            found->falls++;
            if (fall > found->fall) found->fall = fall;
        }
        *last = y[i];
        if (rounded == y[i]) continue; /* half a unit at most */
        found->wrong++;
        error = fabs(finite(y[i]) - finite(expected[i])) / unit((float)finite(rounded), floor);
        if (error > found->error) found->error = error, found->at = x[i];
    }
}

static void *run_share(void *argument) {
    share *work = argument;
    float last[SETS] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    float *x = malloc(BLOCK * sizeof *x), *y = malloc(BLOCK * sizeof *y);
    float *before = malloc(BLOCK * sizeof *before);
    double *expected = malloc(BLOCK * sizeof *expected);
    uint64_t index = work->first;
    if (!x || !y || !before || !expected) exit(2);
    while (index < work->end) {
        int count = 0, set, i;
        while (count < BLOCK && index < work->end) {
            x[count] = ordered(index);
            expected[count] = work->function->value(x[count]);
            count++;
            index += work->step;
        }
        for (i = count; i < BLOCK; i++) x[i] = 0;
        for (set = 0; set < work->set_count; set++) {
            if (work->set_count > 1) carousel_set_instruction_set(work->sets[set]);
            if (carousel_network_forward(work->network, x, ROWS, 1, y, BLOCK)) {
                fprintf(stderr, "%s\n", carousel_last_error_message());
                exit(2);
            }
            compare(work, set, x, expected, y, &last[set], count);
            for (i = 0; set > 0 && i < count; i++)
                if (memcmp(&y[i], &before[i], sizeof *y) && !(y[i] != y[i] && before[i] != before[i]))
                    work->results[set].differs++;
            memcpy(before, y, BLOCK * sizeof *y);
        }
    }
    free(x);
    free(y);
    free(before);
    free(expected);
    return NULL;
}

/* ---- all of it ---- */

static carousel_network *network_of(const function *function) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_input_options input;
    carousel_activation activation;
    CAROUSEL_INIT(input);
    memset(&activation, 0, sizeof activation);
    input.features = WIDTH;
    activation.kind = function->kind;
    if (carousel_builder_create(NULL, &builder) ||
        carousel_builder_add_input(builder, "input", &input) ||
        carousel_builder_add_activation(builder, "activation", &activation) ||
        carousel_builder_build(builder, CAROUSEL_FLOAT32, 0, &network)) {
        fprintf(stderr, "%s\n", carousel_last_error_message());
        exit(2);
    }
    carousel_builder_free(builder);
    return network;
}

static float value_of(carousel_network *network, float x) {
    static float input[WIDTH], output[WIDTH];
    input[0] = x;
    if (carousel_network_forward(network, input, 1, 1, output, WIDTH)) exit(2);
    return output[0];
}

static int check(const function *function, const char *const *sets, int set_count, uint64_t step) {
    share shares[THREADS];
    pthread_t threads[THREADS];
    uint64_t range = (uint64_t)1 << 32;
    const int threads_used = set_count > 1 ? 1 : THREADS;
    int i, set, failed = 0;
    memset(shares, 0, sizeof shares);
    carousel_set_instruction_set(sets[set_count - 1]);
    for (i = 0; i < threads_used; i++) {
        shares[i].function = function;
        shares[i].first = range / threads_used * i;
        shares[i].end = range / threads_used * (i + 1);
        shares[i].step = step;
        shares[i].sets = sets;
        shares[i].set_count = set_count;
        shares[i].network = network_of(function);
        if (pthread_create(&threads[i], NULL, run_share, &shares[i])) exit(2);
    }
    for (i = 0; i < threads_used; i++) pthread_join(threads[i], NULL);
    for (set = 0; set < set_count; set++) {
        result total = shares[0].results[set];
        carousel_network *network = shares[0].network;
        carousel_set_instruction_set(sets[set]);
        for (i = 1; i < threads_used; i++) {
            result *other = &shares[i].results[set];
            if (other->error > total.error) total.error = other->error, total.at = other->at;
            total.wrong += other->wrong, total.falls += other->falls;
            total.fall = fmax(total.fall, other->fall);
            total.not_nan += other->not_nan, total.differs += other->differs;
        }
        printf("%-20s %-9s %6.3f ulp at %-14.9g %5.2f %% not correctly rounded", function->name,
               sets[set], total.error, total.at,
               100.0 * (double)total.wrong * (double)step / (double)range);
        if (function->rises)
            printf(", falls %llu times by at most %.0f ulp", (unsigned long long)total.falls,
                   total.fall);
        if (set > 0) printf(", %llu bits differ from %s", (unsigned long long)total.differs,
                            sets[set - 1]);
        printf("; f(-inf, -0, 0, inf) = %g, %g, %g, %g\n", value_of(network, -INFINITY),
               value_of(network, -0.0f), value_of(network, 0), value_of(network, INFINITY));
        if (total.not_nan) printf("  NaN: %llu\n", (unsigned long long)total.not_nan);
        if (total.error > function->bound || total.not_nan ||
            (function->rises && total.fall > function->fall)) {
            printf("  FAILED: the bounds are %g ulp, and a fall of %g\n", function->bound,
                   function->fall);
            failed = 1;
        }
        fflush(stdout);
    }
    for (i = 0; i < threads_used; i++) carousel_network_free(shares[i].network);
    return failed;
}

int main(int argc, char **argv) {
    static const char *const all[SETS] = {"baseline", "avx2", "avx512", "avx512_bf16"};
    const char *sets[SETS];
    int set_count = 0, i, k, failed = 0, chosen = 0;
    uint64_t step = 1;
    for (i = 0; i < SETS; i++)
        if (carousel_set_instruction_set(all[i]) == CAROUSEL_OK) sets[set_count++] = all[i];
    carousel_set_threads(1);
    for (i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--every") && i + 1 < argc) step = strtoull(argv[++i], NULL, 10);
        else chosen++;
    }
    if (step == 0) return 2;
    for (k = 0; k < FUNCTIONS; k++) {
        int wanted = !chosen;
        for (i = 1; i < argc; i++) wanted |= !strcmp(argv[i], functions[k].name);
        if (!wanted) continue;
        /* Sets without multiply-add are slow, and round twice: their errors are looked at in a part. */
        failed |= check(&functions[k], &sets[set_count - 1], 1, step);
        if (set_count > 1) failed |= check(&functions[k], sets, set_count, step * OTHERS);
    }
    return failed;
}
