/*
 * Carousel: run, train and look inside LSTM networks.
 *
 * This header is the whole interface of libcarousel. It is written to be read from top to bottom:
 *
 *    1  A first program                    8  Streams: one step at a time
 *    2  Conventions                        9  Building a network from code
 *    3  Errors                            10  Parameters
 *    4  Version and build                 11  Gradients and a look inside: tapes
 *    5  Arrays                            12  Training
 *    6  Loading, saving, describing       13  Instruction sets and threads
 *    7  Running whole sequences             14  Reduced precision
 *
 * Plain C99; clean as C++; no macros are needed to call it from another language.
 */
#ifndef CAROUSEL_H
#define CAROUSEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h> /* memset, for CAROUSEL_INIT */

#ifdef __cplusplus
extern "C" {
#endif

/* ============================================================================================
 * 1  A first program
 * ============================================================================================
 *
 *     #include <carousel.h>
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         carousel_network *network = NULL;
 *         if (carousel_network_load("model.h5", NULL, &network) != CAROUSEL_OK) {
 *             fprintf(stderr, "%s\n", carousel_last_error_message());
 *             return 1;
 *         }
 *         float input[50][3] = {{0}};                 // 50 steps of 3 features
 *         float output[1];
 *         carousel_status status = carousel_network_forward(
 *             network, &input[0][0], 1, 50, output, 1);     // one row of 50 steps
 *         if (status == CAROUSEL_OK) printf("%g\n", output[0]);
 *         else fprintf(stderr, "%s\n", carousel_last_error_message());
 *         carousel_network_free(network);
 *         return status != CAROUSEL_OK;
 *     }
 *
 *     cc first.c $(pkg-config --cflags --libs carousel)
 *
 * Or step by step, as data arrives, without an allocation, a lock or a system call per step:
 *
 *         carousel_stream *stream = NULL;
 *         carousel_stream_create(network, 1, &stream);
 *         while (next_sample(x)) carousel_stream_step(stream, x, y);
 *         carousel_stream_free(stream);
 *
 * Both ways give the same numbers, bit for bit.
 *
 * ============================================================================================
 * 2  Conventions
 * ============================================================================================
 *
 * Results.   Every function that can fail returns a carousel_status; CAROUSEL_OK is 0. Results
 *            come through the last arguments. After a failure they are as they were before, and
 *            carousel_last_error_message() says what was wrong. A failed call leaves every
 *            object as it was, unless its description says otherwise.
 *
 * Handles.   carousel_network, carousel_stream, carousel_builder, carousel_tape and
 *            carousel_trainer are opaque.
 *            Handles are made by functions that store them through a pointer, and end with the
 *            `_free` function of their type, which accepts NULL. NULL, a pointer that is no
 *            handle, a handle of another type, and a handle that was freed are recognised and
 *            reported as CAROUSEL_ERROR_INVALID_ARGUMENT (a freed one until several thousand
 *            others have been made since). Streams and tapes keep what they need of their
 *            network: they may outlive its handle.
 *
 * NULL.      A pointer must not be NULL unless its description says what NULL means. NULL where
 *            it is not allowed is an error, not a crash. A NULL options pointer means all defaults.
 *
 * Sizes.     Extents and strides are int64_t and count elements, buffers' capacities and counts
 *            of things are size_t. Zero, negative and absurd values are errors wherever they
 *            have no meaning. The library never reads or writes outside the extents it was told.
 *
 * Options.   An options or information struct begins with its own size, so that later versions
 *            can add fields: set `struct_size` before the call. Zero is the default of every
 *            other field. A shorter struct of an older header is accepted; a longer one of a
 *            newer header, too, if what this library does not know in it is zero.
 *
 *                carousel_lstm_options lstm = {.struct_size = sizeof lstm, .units = 32};   // C
 *                carousel_lstm_options lstm; CAROUSEL_INIT(lstm); lstm.units = 32;         // C++
 *
 * Text.      Strings are UTF-8 and end with NUL. Functions that give text take
 *            (buffer, capacity, length): they store the text's length without its NUL in
 *            `*length` (which may be NULL) and as much of the text as fits, always with a NUL.
 *            If it does not fit the status is CAROUSEL_ERROR_LIMIT. A NULL buffer with capacity 0
 *            only asks for the length, and succeeds. Strings inside information structs belong
 *            to the handle and live as long as it.
 *
 * Threads.   Functions without a handle may be called from any thread at any time. Any number of
 *            threads may use one network at once (run, stream, describe, save, record tapes)
 *            while none of them changes it; the functions that change it say so. A stream,
 *            builder or tape is for one thread at a time; different ones are independent.
 *
 * Memory.    The caller owns every array; the library keeps no pointer to one after the call.
 *            If memory cannot be had the status is CAROUSEL_ERROR_OUT_OF_MEMORY, all objects are as they
 *            were, and the call may be made again. The library's own small objects fall back on 1 MiB
 *            that it sets aside, so that lack of memory does not end the process; while half of that is
 *            in use, calls are refused with the same status. Steps of streams, and the `_free` functions,
 *            need no memory.
 *
 * Signals.   The library installs no handlers; its own threads block all signals. System calls that a
 *            handler interrupts are made again. No function may be called in a handler.
 *
 * Fork.      A process may fork at any time, even while other threads are in the library: parent and
 *            child may both go on using every object that no other thread was using at that moment,
 *            and the child makes threads of its own. fork waits for a file that another thread reads
 *            or writes. A thread that forks from inside a call (a crash reporter in a signal handler, a
 *            plug-in of libhdf5, an allocator) does not wait for itself: the call goes on in the
 *            parent, and may go on in the child.
 *
 * Since.     Everything is part of version 1.0 unless its description names a later one.
 */

/* Zeroes an options or information struct and sets its struct_size. */
#define CAROUSEL_INIT(options)               \
    (memset(&(options), 0, sizeof(options)), \
     (void)((options).struct_size = sizeof(options)))

/* A network: an architecture and its parameters. Section 6. */
typedef struct carousel_network carousel_network;
/* The running state of a batch of sequences. Section 8. */
typedef struct carousel_stream carousel_stream;
/* A network under construction. Section 9. */
typedef struct carousel_builder carousel_builder;
/* A recorded forward pass, to be differentiated and looked into. Section 11. */
typedef struct carousel_tape carousel_tape;
/* A network in training. Section 12. */
typedef struct carousel_trainer carousel_trainer;

/* ============================================================================================
 * 3  Errors
 * ============================================================================================
 *
 * One list makes the values, names and descriptions. The values never change their meaning;
 * later versions may add some, so treat a value that you do not know as a failure.
 */
#define CAROUSEL_STATUS_LIST(X)                                                                  \
    X(CAROUSEL_OK, 0, "success")                                                                 \
    X(CAROUSEL_ERROR_INVALID_ARGUMENT, 1, "an argument is NULL, negative or not allowed")        \
    X(CAROUSEL_ERROR_SHAPE, 2, "shapes that must agree do not")                                  \
    X(CAROUSEL_ERROR_OUT_OF_MEMORY, 3, "memory could not be had")                                \
    X(CAROUSEL_ERROR_UNSUPPORTED, 4, "the model needs something that Carousel does not do")      \
    X(CAROUSEL_ERROR_FORMAT, 5, "a file or text is damaged or of no known layout")               \
    X(CAROUSEL_ERROR_IO, 6, "the operating system refused to open, read or write a file")        \
    X(CAROUSEL_ERROR_NOT_FOUND, 7, "nothing of the given name or index exists")                  \
    X(CAROUSEL_ERROR_NUMERIC, 8, "a loss, gradient or weight is NaN or infinite")                \
    X(CAROUSEL_ERROR_STATE, 9, "the call is not legal in the object's present state")            \
    X(CAROUSEL_ERROR_INTERRUPTED, 10, "a callback asked to stop")                                \
    X(CAROUSEL_ERROR_LIBRARY, 11, "libhdf5 or libzip is missing or unfit")                       \
    X(CAROUSEL_ERROR_LIMIT, 12, "something is larger than a limit that was set")

#define CAROUSEL_STATUS_VALUE(name, value, description) name = value,
typedef enum carousel_status { CAROUSEL_STATUS_LIST(CAROUSEL_STATUS_VALUE) } carousel_status;
#undef CAROUSEL_STATUS_VALUE

/* What went wrong in the last call of this thread that failed: one sentence with the name of the
 * function and of the offending argument, file, layer or parameter, what was expected and what was
 * found. Empty if none has failed. The string belongs to the thread; the next failure in it
 * overwrites it. Calls that succeed leave it alone. */
const char *carousel_last_error_message(void);

/* "CAROUSEL_ERROR_SHAPE"; "unknown status" for values not in the list. Static. */
const char *carousel_status_name(carousel_status status);

/* The description in the list. Static. */
const char *carousel_status_description(carousel_status status);

/* ============================================================================================
 * 4  Version and build
 * ============================================================================================
 *
 * Libraries of one major version are compatible: a program runs with any library that is at
 * least as new as its header. The macros tell the header's version, the functions the library's.
 */

#define CAROUSEL_VERSION_MAJOR 1
#define CAROUSEL_VERSION_MINOR 0
#define CAROUSEL_VERSION_PATCH 0
#define CAROUSEL_VERSION_STRING "1.0.0"
#define CAROUSEL_VERSION_NUMBER \
    (CAROUSEL_VERSION_MAJOR * 10000 + CAROUSEL_VERSION_MINOR * 100 + CAROUSEL_VERSION_PATCH)

/* major * 10000 + minor * 100 + patch of the library that is running. */
int32_t carousel_version_number(void);

/* The same as text, "1.0.0". The string is static. */
const char *carousel_version_string(void);

/* How the library was built and what it found on this machine, as lines of "name: value":
 * version, compiler, instruction sets (in use, available), threads, libhdf5 and libzip (their
 * versions, or why they cannot be used; this opens them). For bug reports. */
carousel_status carousel_build_info(char *buffer, size_t capacity, size_t *length);

/* ============================================================================================
 * 5  Arrays
 * ============================================================================================
 */

typedef enum carousel_dtype {
    CAROUSEL_FLOAT32 = 0,
    CAROUSEL_FLOAT64 = 1,
    CAROUSEL_INT32 = 2, /* ids only */
    CAROUSEL_INT64 = 3  /* ids only */
} carousel_dtype;

/* An array of the caller's, seen through a shape and strides.
 *
 * What a network reads and gives is, for one input or output,
 *
 *     (batch, time, features)   a sequence of vectors            rank 3
 *     (batch, time)             a sequence of ids                rank 2
 *     (batch, features)         one vector for each row          rank 2
 *
 * and for the states of recurrent layers (batch, width). Any float type may be given to any
 * network: values are converted. Ids may have any of the four types if they are whole numbers. */
typedef struct carousel_array {
    /* First element; may be NULL if an extent is zero. Inputs are not written to. */
    void *data;
    carousel_dtype dtype;
    int32_t rank;
    int64_t shape[4];
    /* Elements from one index to the next in each dimension; may be negative. All zero: in C
     * order without gaps. */
    int64_t strides[4];
} carousel_array;

/* ============================================================================================
 * 6  Loading, saving, describing
 * ============================================================================================
 *
 * A network is loaded from a file, built from code (section 9), or made from JSON. Layouts:
 *
 *     "carousel"               our own, architecture and weights           reads  writes
 *     "keras-h5"               whole-model .h5 of Keras 1, 2, tf.keras, 3
 *     "keras"                  .keras archives of Keras 3
 *     "keras-weights"          .weights.h5: weights alone
 *     "keras-legacy-weights"   save_weights("x.h5"): weights alone
 *     "torch"                  a PyTorch state_dict in HDF5: weights alone
 *     "chainer"                Chainer's save_hdf5: weights alone
 *     "tf1"                    TensorFlow 1 variables in HDF5: weights alone
 *     "onnx"                   ONNX LSTM tensors in HDF5
 *
 * Files are recognised by content, never by name. What a file says is never executed; it must be
 * understood completely or it is refused with the name of the layer or array that was not.
 *
 * libhdf5 is opened when the first file is; programs that touch no file do not need it. Versions of
 * libhdf5 before 1.10.11 have memory errors that a hostile file can reach, and no version is free of
 * them. Load files of unknown origin with `untrusted`: a process of its own, the program
 * carousel-reader beside this library, reads the file, and whatever happens there happens to it
 * alone. It has little memory and time, writes no file, and cannot open another one; what it answers
 * is checked like a file. A file that crashes it is CAROUSEL_ERROR_FORMAT, one that needs more than
 * the limits CAROUSEL_ERROR_LIMIT, a missing carousel-reader CAROUSEL_ERROR_LIBRARY. The call starts
 * the process with posix_spawn and waits for it, and for no other; the host gets one SIGCHLD for it, as
 * for every child. docs/threat-model.md says what is promised.
 */

/* What a loaded network computes in. */
typedef enum carousel_precision {
    /* What the file says, if it is one of ours; else float32. */
    CAROUSEL_PRECISION_OF_FILE = 0,
    CAROUSEL_PRECISION_FLOAT32 = 1,
    /* The reference path. */
    CAROUSEL_PRECISION_FLOAT64 = 2,
    /* Weights in reduced precision, for inference: section 14. */
    CAROUSEL_PRECISION_BFLOAT16 = 3,
    CAROUSEL_PRECISION_INT8 = 4
} carousel_precision;

typedef struct carousel_load_options {
    size_t struct_size;
    /* One of the names above; NULL: recognise it. */
    const char *format;
    /* Architecture for layouts of weights alone: the text of Keras's model.to_json(). */
    const char *config_json;
    /* Refuse files larger than this many bytes; 0: no limit but memory. */
    uint64_t largest_file;
    /* Not 0: accept weights that are NaN or infinite. */
    int32_t allow_non_finite;
    carousel_precision precision;
    /* Not 0: the file is not trusted; a process of its own reads it. */
    int32_t untrusted;
    /* Seconds that this process may take, 1 to 86,400; 0: 30. */
    int32_t untrusted_seconds;
    /* Bytes of address space that it may have; 0: 512 MiB and 16 times the file. */
    uint64_t untrusted_memory;
} carousel_load_options;

/* Loads a network with its architecture. `options` may be NULL. */
carousel_status carousel_network_load(
    const char *path, const carousel_load_options *options, carousel_network **network);

typedef struct carousel_weights_options {
    size_t struct_size;
    /* One of the names above; NULL: recognise it. */
    const char *format;
    /* Arrays in the file are named with this in front ("encoder."); NULL: find out. */
    const char *prefix;
    /* "tf1" only: the forget bias that each recurrent layer adds at run time and the file lacks.
     * One value for all layers or one for each, in order; NULL: 1 for all. */
    const double *forget_bias;
    size_t forget_bias_count;
    /* As in carousel_load_options. */
    uint64_t largest_file;
    int32_t allow_non_finite;
    int32_t untrusted;
    int32_t untrusted_seconds;
    int32_t reserved;
    uint64_t untrusted_memory;
} carousel_weights_options;

/* Fills all parameters of a network from a file of any layout; names and shapes are checked
 * first, and after a failure the network is as it was. Changes the network. `options` may be
 * NULL. */
carousel_status carousel_network_load_weights(
    carousel_network *network, const char *path, const carousel_weights_options *options);

typedef struct carousel_save_options {
    size_t struct_size;
    /* One of the names above; NULL: "carousel". */
    const char *format;
    /* "torch", "chainer", "tf1": what names in the file begin with; NULL: the layers' names; "": no
     * prefix (a network with one recurrent layer). */
    const char *prefix;
    /* gzip level 1 to 9; 0: not compressed. */
    int32_t compression;
    int32_t reserved;
} carousel_save_options;

/* Writes the network to a file. A file of that name is replaced in one step: whatever happens,
 * there is either the old file or the new one, whole. What a layout cannot express is refused
 * before anything is written. `options` may be NULL. */
carousel_status carousel_network_save(
    const carousel_network *network, const char *path, const carousel_save_options *options);

/* What a file holds, as JSON text: layout, framework and version, layers, parameters with shapes,
 * what would be ignored and why. Works for weights alone, too. `options` may be NULL. */
carousel_status carousel_inspect(
    const char *path, const carousel_load_options *options, char *buffer, size_t capacity,
    size_t *length);

/* The whole of the program carousel-reader, for nobody else: one request from standard input, one answer
 * to standard output. Returns only if there is no request, not 0. */
int carousel_reader_main(void);

/* A network from the JSON text of an architecture, as carousel_network_to_json or Keras's
 * model.to_json() gives it, with freshly initialised parameters; the same seed gives the same
 * parameters. `dtype` is CAROUSEL_FLOAT32 (fast) or CAROUSEL_FLOAT64 (reference). */
carousel_status carousel_network_from_json(
    const char *json, carousel_dtype dtype, uint64_t seed, carousel_network **network);

/* The architecture as JSON text, in the form of Keras's model.to_json(); of a network that Keras
 * cannot express, in our own (the "architecture" attribute of our files). */
carousel_status carousel_network_to_json(
    const carousel_network *network, char *buffer, size_t capacity, size_t *length);

/* A table of the layers with output shapes and parameter counts, for people. */
carousel_status carousel_network_summary(
    const carousel_network *network, char *buffer, size_t capacity, size_t *length);

/* A network of its own with the same architecture, parameters and states. */
carousel_status carousel_network_copy(
    const carousel_network *network, carousel_network **copy);

/* Ends a handle. NULL is accepted; so is a handle that was freed before (nothing happens). No other
 * thread may be using the handle. */
void carousel_network_free(carousel_network *network);

typedef struct carousel_network_info {
    size_t struct_size;
    const char *name;
    carousel_dtype dtype;
    /* Not 0: a layer carries its state from call to call (Keras's `stateful`). */
    int32_t is_stateful;
    size_t input_count;
    size_t output_count;
    /* Inputs count as layers. */
    size_t layer_count;
    size_t state_count;
    /* Arrays, and the numbers in them. */
    size_t parameter_count;
    int64_t weight_count;
    /* What the weights are held in. */
    carousel_precision precision;
    int32_t reserved;
} carousel_network_info;

carousel_status carousel_network_get_info(
    const carousel_network *network, carousel_network_info *info);

/* An input or output: its name and shape. */
typedef struct carousel_signal_info {
    size_t struct_size;
    /* Name of the layer. */
    const char *name;
    /* Not 0: ids, (batch, time), each less than `vocabulary`. */
    int32_t is_ids;
    int32_t rank;
    /* The batch comes first; -1: any. */
    int64_t shape[4];
    int64_t vocabulary;
} carousel_signal_info;

carousel_status carousel_network_get_input(
    const carousel_network *network, size_t index, carousel_signal_info *info);
carousel_status carousel_network_get_output(
    const carousel_network *network, size_t index, carousel_signal_info *info);

typedef struct carousel_layer_info {
    size_t struct_size;
    const char *name;
    /* Keras's class name, such as "LSTM". */
    const char *kind;
    int32_t is_trainable;
    int32_t rank;
    /* Of the layer's output; the batch comes first; -1: any. */
    int64_t shape[4];
    /* Numbers in the layer's parameters. */
    int64_t weight_count;
} carousel_layer_info;

carousel_status carousel_network_get_layer(
    const carousel_network *network, size_t index, carousel_layer_info *info);

/* One state array of a recurrent layer, (batch, width). The states of a network are those of its
 * layers in order: h; or h and c; or, of both directions, h and c forward, h and c backward. */
typedef struct carousel_state_info {
    size_t struct_size;
    /* Name and index of the layer. */
    const char *layer_name;
    size_t layer;
    /* "h" or "c". */
    const char *name;
    /* 0: forward; 1: the backward half of a bidirectional layer. */
    int32_t direction;
    int32_t reserved;
    int64_t width;
} carousel_state_info;

carousel_status carousel_network_get_state(
    const carousel_network *network, size_t index, carousel_state_info *info);

/* ============================================================================================
 * 7  Running whole sequences
 * ============================================================================================
 *
 * Results do not depend on the batch a row stands in, on the number of threads, or on whether a
 * sequence comes at once or in pieces: they are equal to the last bit.
 */

/* Runs a network that has one input and one output on contiguous float arrays: `input` holds
 * batch * time * features values (ids as whole numbers; time must be 1 if the input has no time
 * axis), `output` has room for `output_count` values, which must be the size of the output. */
carousel_status carousel_network_forward(
    carousel_network *network, const float *input, int64_t batch, int64_t time, float *output,
    size_t output_count);

/* What recurrent layers give at masked steps and after a row's end. */
typedef enum carousel_padding {
    /* With lengths zero, with a mask what each layer says. */
    CAROUSEL_PADDING_DEFAULT = 0,
    /* The last output again (Keras's masks). */
    CAROUSEL_PADDING_HOLD = 1,
    /* Zero (PyTorch's packed sequences). */
    CAROUSEL_PADDING_ZERO = 2
} carousel_padding;

typedef struct carousel_run_options {
    size_t struct_size;
    /* Valid steps of each row, 0 to time, as many values as the batch has rows; NULL: all. Each
     * row ends with the state of its own last valid step. */
    const int64_t *lengths;
    /* One byte for each (batch, time), 0: masked; NULL: none. Strides in bytes; both zero: in C
     * order (in time-major order if `time_major`). */
    const uint8_t *mask;
    int64_t mask_batch_stride;
    int64_t mask_time_stride;
    carousel_padding padding;
    /* Not 0: sequences are (time, batch, ...), in all arrays of this call. */
    int32_t time_major;
    /* States before the first step, as many as the network has (carousel_network_get_state);
     * NULL with count 0: zero, or what a stateful network carries. */
    const carousel_array *initial_states;
    size_t initial_state_count;
    /* Where to store the states after the last valid step; NULL with count 0: nowhere. */
    const carousel_array *final_states;
    size_t final_state_count;
    /* Most threads to use; 0: carousel_threads(). */
    int32_t threads;
    /* Not 0: dropout and the like are active, with `seed` as their source of randomness, and batch
     * normalisation uses the batch's statistics. */
    int32_t training;
    uint64_t seed;
} carousel_run_options;

/* Runs a network of any number of inputs and outputs. A batch has at least one row; sequences may
 * have no step. `options` may be NULL. Changes a stateful network (use it in one thread). */
carousel_status carousel_network_run(
    carousel_network *network, const carousel_array *inputs, size_t input_count,
    const carousel_array *outputs, size_t output_count, const carousel_run_options *options);

/* Fills in type, rank, shape and strides (zero) of output number `index` for a batch whose
 * inputs have `times[i]` steps (1 for inputs without a time axis); `array->data` stays as it is. */
carousel_status carousel_network_get_output_shape(
    const carousel_network *network, size_t index, int64_t batch, const int64_t *times,
    size_t time_count, carousel_array *array);

/* Stateful layers begin their next call from zero. Changes the network. */
carousel_status carousel_network_reset_states(carousel_network *network);

/* ============================================================================================
 * 8  Streams: one step at a time
 * ============================================================================================
 *
 * A stream holds the states of a batch of sequences that advance together. Steps, and
 * carousel_stream_reset, _snapshot, _restore and _get_info, neither allocate, nor lock, nor make system
 * calls, so they may run in an audio callback (but see carousel_stream_set_threads). Networks with
 * layers that need the whole sequence (bidirectional ones, pooling over time) are refused when
 * the stream is made, with the layer's name.
 *
 * A stream keeps the parameters that the network had when the stream was made.
 */

carousel_status carousel_stream_create(
    const carousel_network *network, int64_t batch, carousel_stream **stream);

/* A second stream in the same state. */
carousel_status carousel_stream_copy(const carousel_stream *stream, carousel_stream **copy);

/* Ends a handle, as carousel_network_free. */
void carousel_stream_free(carousel_stream *stream);

/* Most threads that a step may use: 1 at first, up to 1024; 0: carousel_threads(). With more than
 * one the units of large float32 LSTM layers (from some 128 units on) are divided, so that each
 * processor keeps its part of the weights near, and the promise above does not hold: a step may make
 * or wake a thread, and waits for it. Between steps that follow each other within some 100
 * microseconds the threads do not sleep. The numbers stay the same, bit for bit. */
carousel_status carousel_stream_set_threads(carousel_stream *stream, int32_t threads);

typedef struct carousel_stream_info {
    size_t struct_size;
    int64_t batch;
    /* Values that carousel_stream_step reads and writes; 0 if the network has several inputs or
     * outputs. */
    int64_t input_count;
    int64_t output_count;
    /* Bytes that carousel_stream_snapshot writes. */
    size_t state_size;
} carousel_stream_info;

carousel_status carousel_stream_get_info(
    const carousel_stream *stream, carousel_stream_info *info);

/* One step of a network with one input and one output: reads batch * features values, writes
 * batch * features values. Ids are given as whole numbers. */
carousel_status carousel_stream_step(carousel_stream *stream, const float *input, float *output);

/* `steps` steps: reads (batch, steps, features), writes (batch, steps, features), contiguous.
 * 0 steps are legal. An id that is out of range ends the call at its step: the steps before it were
 * taken and their outputs written. */
carousel_status carousel_stream_steps(
    carousel_stream *stream, const float *input, int64_t steps, float *output);

/* One step of any network. Arrays are (batch, features), or (batch, 1, features); ids (batch) or
 * (batch, 1). */
carousel_status carousel_stream_step_arrays(
    carousel_stream *stream, const carousel_array *inputs, size_t input_count,
    const carousel_array *outputs, size_t output_count);

/* All states to what they were when the stream was made. */
carousel_status carousel_stream_reset(carousel_stream *stream);

/* Copies the whole state out into `size` bytes, exactly as many as carousel_stream_get_info says:
 * the states in the network's order, each (batch, width), in the network's dtype. May be kept,
 * moved to another stream of the same network and batch, and restored as often as you like. */
carousel_status carousel_stream_snapshot(
    const carousel_stream *stream, void *state, size_t size);
carousel_status carousel_stream_restore(
    carousel_stream *stream, const void *state, size_t size);

/* Writes the stream's network and state to one file, which is replaced in one step: every reader of
 * networks finds the network in it. `options` as for carousel_network_save ("carousel", "keras-h5"). */
carousel_status carousel_stream_save(
    const carousel_stream *stream, const char *path, const carousel_save_options *options);

/* The state that carousel_stream_save wrote, into a stream of the same network and batch: it goes on
 * bit for bit, in whatever process. Read files of your own only: there is no untrusted mode. */
carousel_status carousel_stream_load(carousel_stream *stream, const char *path);

/* Takes over the network's present parameters; the state stays. Allocates. */
carousel_status carousel_stream_update_weights(carousel_stream *stream);

/* ============================================================================================
 * 9  Building a network from code
 * ============================================================================================
 *
 *     carousel_builder *builder = NULL;
 *     carousel_network *network = NULL;
 *     carousel_input_options input = {.struct_size = sizeof input, .features = 3, .time = -1};
 *     carousel_lstm_options lstm = {.struct_size = sizeof lstm, .units = 32, .peepholes = 7};
 *     carousel_dense_options head = {.struct_size = sizeof head, .units = 1};
 *     carousel_builder_create("forecaster", &builder);
 *     carousel_builder_add_input(builder, "input", &input);
 *     carousel_builder_add_lstm(builder, "lstm", &lstm);
 *     carousel_builder_add_dense(builder, "head", &head);
 *     carousel_builder_build(builder, CAROUSEL_FLOAT32, 42, &network);
 *     carousel_builder_free(builder);
 *
 * Each layer reads the one that was added before it, unless carousel_builder_read says
 * otherwise. Layer names are unique, not empty, without "/". A layer that cannot be added is
 * refused at once and leaves the builder as it was; shapes are checked when it is built.
 */

/* `name` may be NULL: "network". */
carousel_status carousel_builder_create(const char *name, carousel_builder **builder);

/* Ends a handle, as carousel_network_free. */
void carousel_builder_free(carousel_builder *builder);

/* The next layer reads these layers, in this order, instead of the last one. A recurrent layer may
 * read its initial states behind its sequence, as a decoder those of its encoder: (h), (h, c), or
 * (h_f, c_f, h_b, c_b) for a bidirectional one. Such a network cannot be stepped as a stream. */
carousel_status carousel_builder_read(
    carousel_builder *builder, const char *const *names, size_t count);

/* The next layer is applied to every step of a sequence by itself (Keras's TimeDistributed). */
carousel_status carousel_builder_distribute(carousel_builder *builder);

/* The next layer uses the parameters of this earlier one, which has the same shapes: the same layer,
 * called again. It has no parameters of its own. */
carousel_status carousel_builder_share(carousel_builder *builder, const char *name);

/* The next layer, a recurrent one, becomes the backward half of this bidirectional layer in place of a
 * mirror image of the forward half. It is no layer of its own, and its name is not used. */
carousel_status carousel_builder_set_backward(carousel_builder *builder, const char *name);

/* Makes a layer an output of the network; call it once for each output, in order. Without a call
 * the last layer is the output. */
carousel_status carousel_builder_add_output(carousel_builder *builder, const char *name);

/* Training leaves this layer's parameters alone. */
carousel_status carousel_builder_freeze(carousel_builder *builder, const char *name);

/* The network, with initialised parameters (Keras's defaults: Glorot uniform kernels, orthogonal
 * recurrent kernels, zero biases but a unit forget bias). The same seed gives the same network.
 * The builder may go on and build more. `dtype` as in carousel_network_from_json. */
carousel_status carousel_builder_build(
    const carousel_builder *builder, carousel_dtype dtype, uint64_t seed,
    carousel_network **network);

typedef enum carousel_activation_kind {
    /* The layer's usual one: tanh, sigmoid for gates, linear for Dense and Conv1D. */
    CAROUSEL_ACTIVATION_DEFAULT = 0,
    CAROUSEL_ACTIVATION_LINEAR = 1,
    CAROUSEL_ACTIVATION_TANH = 2,
    CAROUSEL_ACTIVATION_SIGMOID = 3,
    CAROUSEL_ACTIVATION_HARD_SIGMOID = 4,        /* clip(x / 6 + 0.5, 0, 1): Keras 3, PyTorch */
    CAROUSEL_ACTIVATION_HARD_SIGMOID_KERAS2 = 5, /* clip(0.2 x + 0.5, 0, 1) */
    CAROUSEL_ACTIVATION_RELU = 6,                /* with slope, maximum, threshold */
    CAROUSEL_ACTIVATION_ELU = 7,                 /* with alpha */
    CAROUSEL_ACTIVATION_SELU = 8,
    CAROUSEL_ACTIVATION_GELU = 9,
    CAROUSEL_ACTIVATION_GELU_TANH = 10, /* its tanh approximation */
    CAROUSEL_ACTIVATION_SILU = 11,      /* swish */
    CAROUSEL_ACTIVATION_SOFTPLUS = 12,
    CAROUSEL_ACTIVATION_SOFTSIGN = 13,
    CAROUSEL_ACTIVATION_EXPONENTIAL = 14,
    CAROUSEL_ACTIVATION_SOFTMAX = 15
} carousel_activation_kind;

typedef struct carousel_activation {
    carousel_activation_kind kind;
    /* RELU: not 0 if `maximum` counts. */
    int32_t has_maximum;
    /* RELU: maximum for x >= maximum, x from threshold on, slope * (x - threshold) below. */
    double slope;
    double maximum;
    double threshold;
    /* ELU: alpha * (exp(x) - 1) for x < 0; 0: 1. */
    double alpha;
} carousel_activation;

typedef struct carousel_input_options {
    size_t struct_size;
    /* Features of each step, or of the vector; 0 for ids. */
    int64_t features;
    /* Steps; -1: any number; 0: no time axis (not for ids). */
    int64_t time;
    /* Not 0: ids, the input of an Embedding. */
    int32_t is_ids;
    int32_t reserved;
    /* A batch size that is fixed; 0: any. */
    int64_t batch;
} carousel_input_options;

carousel_status carousel_builder_add_input(
    carousel_builder *builder, const char *name, const carousel_input_options *options);

typedef struct carousel_dense_options {
    size_t struct_size;
    int64_t units;
    carousel_activation activation;
    int32_t no_bias;
    int32_t reserved;
} carousel_dense_options;

/* y = activation(x W + b). */
carousel_status carousel_builder_add_dense(
    carousel_builder *builder, const char *name, const carousel_dense_options *options);

typedef struct carousel_embedding_options {
    size_t struct_size;
    /* Ids are less than this. */
    int64_t vocabulary;
    int64_t dimension;
    /* Not 0: id 0 is padding and masks its step. */
    int32_t mask_zero;
    int32_t reserved;
} carousel_embedding_options;

carousel_status carousel_builder_add_embedding(
    carousel_builder *builder, const char *name, const carousel_embedding_options *options);

/* Whether a recurrent layer also walks backwards, and how the two outputs are joined. */
typedef enum carousel_bidirectional {
    CAROUSEL_ONE_DIRECTION = 0,
    CAROUSEL_BIDIRECTIONAL_CONCAT = 1,
    CAROUSEL_BIDIRECTIONAL_SUM = 2,
    CAROUSEL_BIDIRECTIONAL_MULTIPLY = 3,
    CAROUSEL_BIDIRECTIONAL_AVERAGE = 4
} carousel_bidirectional;

/* What all recurrent layers have in common. */
typedef struct carousel_recurrent_options {
    /* Every step's output instead of the last one's. */
    int32_t return_sequences;
    /* From the last step to the first; outputs come in that order. */
    int32_t go_backwards;
    /* Each call begins with the state in which the one before it ended. */
    int32_t stateful;
    carousel_bidirectional bidirectional;
    /* What comes out at masked steps. */
    carousel_padding padding;
    /* The state before the first step is a parameter instead of zero. */
    int32_t learn_initial_state;
    /* Probabilities, in training: of dropping an input feature, or a unit of h(t-1); one mask for a
     * whole sequence. */
    double dropout;
    double recurrent_dropout;
} carousel_recurrent_options;

typedef struct carousel_simple_rnn_options {
    size_t struct_size;
    int64_t units;
    carousel_recurrent_options recurrent;
    carousel_activation activation;
    int32_t no_bias;
    int32_t reserved;
} carousel_simple_rnn_options;

/* h(t) = activation(W x(t) + R h(t-1) + b). */
carousel_status carousel_builder_add_simple_rnn(
    carousel_builder *builder, const char *name, const carousel_simple_rnn_options *options);

/* Bits of carousel_lstm_options.peepholes. */
typedef enum carousel_peepholes {
    CAROUSEL_PEEPHOLE_INPUT = 1,  /* the input gate reads c(t-1) */
    CAROUSEL_PEEPHOLE_FORGET = 2, /* the forget gate reads c(t-1) */
    CAROUSEL_PEEPHOLE_OUTPUT = 4  /* the output gate reads c(t) */
} carousel_peepholes;

/* The LSTM, with every part of its history as a switch:
 *
 *     i = gate(W_i x(t) + R_i h(t-1) + p_i c(t-1) + b_i)      input gate      (1997)
 *     f = gate(W_f x(t) + R_f h(t-1) + p_f c(t-1) + b_f)      forget gate     (2000)
 *     g = activation(W_g x(t) + R_g h(t-1) + b_g)             cell input
 *     c(t) = f c(t-1) + i g                                   the constant error carousel
 *     o = gate(W_o x(t) + R_o h(t-1) + p_o c(t) + b_o)        output gate     (1997)
 *     h(t) = o output_activation(c(t))                        peepholes p     (2000, 2002)
 */
typedef struct carousel_lstm_options {
    size_t struct_size;
    int64_t units;
    carousel_recurrent_options recurrent;
    /* Of the cell input, of the cell state on its way out, of the gates. */
    carousel_activation activation;
    carousel_activation output_activation;
    carousel_activation recurrent_activation;
    int32_t no_bias;
    /* A gate that is switched off is 1 and has no parameters. */
    int32_t no_input_gate;
    int32_t no_forget_gate;
    int32_t no_output_gate;
    /* f = 1 - i; there is no forget block then. */
    int32_t couple_gates;
    /* Sum of CAROUSEL_PEEPHOLE_...; 0: none, 7: all. */
    int32_t peepholes;
    /* Peepholes are whole matrices (Chainer). */
    int32_t dense_peepholes;
    /* Layer normalisation of the pre-activations and of c on its way out (Ba et al. 2016). */
    int32_t layer_norm;
    /* 0: 1e-5. */
    double layer_norm_epsilon;
    /* Width of the projected output (LSTMP); 0: none. */
    int64_t projection_size;
    /* Limits of what is projected, of c, of the gates' pre-activations; 0: none. */
    double projection_clip;
    double cell_clip;
    double gate_clip;
    /* Probability that a unit keeps its old h and c, in training. */
    double zoneout;
    /* The 1997 algorithm: no error flows back through R. */
    int32_t truncate_gates;
    int32_t reserved;
} carousel_lstm_options;

carousel_status carousel_builder_add_lstm(
    carousel_builder *builder, const char *name, const carousel_lstm_options *options);

typedef struct carousel_gru_options {
    size_t struct_size;
    int64_t units;
    carousel_recurrent_options recurrent;
    carousel_activation activation;
    carousel_activation recurrent_activation;
    int32_t no_bias;
    /* The reset gate acts on h(t-1) before its product (Cho et al. 2014) instead of after it. */
    int32_t reset_before;
} carousel_gru_options;

carousel_status carousel_builder_add_gru(
    carousel_builder *builder, const char *name, const carousel_gru_options *options);

/* `activation` by itself. */
carousel_status carousel_builder_add_activation(
    carousel_builder *builder, const char *name, const carousel_activation *activation);

/* One learned slope for each feature below zero (for each step, too, unless `share_time`). */
carousel_status carousel_builder_add_prelu(
    carousel_builder *builder, const char *name, int32_t share_time);

/* Masks steps of which every feature equals `value`. */
carousel_status carousel_builder_add_masking(
    carousel_builder *builder, const char *name, double value);

typedef enum carousel_dropout_kind {
    CAROUSEL_DROPOUT = 0,          /* elements, with probability `rate` */
    CAROUSEL_DROPOUT_SPATIAL = 1,  /* whole features of a sequence */
    CAROUSEL_DROPOUT_GAUSSIAN = 2, /* multiplies by N(1, rate / (1 - rate)) */
    CAROUSEL_DROPOUT_NOISE = 3,    /* adds noise of standard deviation `rate` */
    CAROUSEL_DROPOUT_ALPHA = 4     /* keeps mean and variance of SELU networks */
} carousel_dropout_kind;

/* Changes something in training only. */
carousel_status carousel_builder_add_dropout(
    carousel_builder *builder, const char *name, carousel_dropout_kind kind, double rate);

typedef struct carousel_normalization_options {
    size_t struct_size;
    /* 0: Keras's, 1e-3. */
    double epsilon;
    /* Batch normalisation: of the moving statistics; 0: 0.99. */
    double momentum;
    int32_t no_scale;
    int32_t no_center;
    /* Layer normalisation: divides by the root mean square, without subtracting the mean. */
    int32_t rms;
    int32_t reserved;
} carousel_normalization_options;

/* `options` may be NULL. */
carousel_status carousel_builder_add_batch_normalization(
    carousel_builder *builder, const char *name, const carousel_normalization_options *options);
carousel_status carousel_builder_add_layer_normalization(
    carousel_builder *builder, const char *name, const carousel_normalization_options *options);

typedef enum carousel_convolution_padding {
    CAROUSEL_CONVOLUTION_VALID = 0,
    CAROUSEL_CONVOLUTION_SAME = 1,
    CAROUSEL_CONVOLUTION_CAUSAL = 2
} carousel_convolution_padding;

typedef struct carousel_conv1d_options {
    size_t struct_size;
    int64_t filters;
    int64_t kernel_size;
    /* 0: 1, for all three. */
    int64_t stride;
    int64_t dilation;
    int64_t groups;
    carousel_activation activation;
    carousel_convolution_padding padding;
    int32_t no_bias;
} carousel_conv1d_options;

carousel_status carousel_builder_add_conv1d(
    carousel_builder *builder, const char *name, const carousel_conv1d_options *options);

typedef enum carousel_pooling_kind {
    CAROUSEL_POOLING_MAX = 0,
    CAROUSEL_POOLING_AVERAGE = 1
} carousel_pooling_kind;

typedef struct carousel_pooling1d_options {
    size_t struct_size;
    carousel_pooling_kind kind;
    /* Not 0: "same" padding. */
    int32_t pad_to_same;
    int64_t pool_size;
    /* 0: the pool size. */
    int64_t stride;
} carousel_pooling1d_options;

carousel_status carousel_builder_add_pooling1d(
    carousel_builder *builder, const char *name, const carousel_pooling1d_options *options);

/* Over all steps; `keep_time`: the result has one step instead of no time axis. */
carousel_status carousel_builder_add_global_pooling1d(
    carousel_builder *builder, const char *name, carousel_pooling_kind kind, int32_t keep_time);

/* (batch, time, features) to (batch, time * features). */
carousel_status carousel_builder_add_flatten(carousel_builder *builder, const char *name);

/* `shape` without the batch, rank 1 or 2; one extent may be -1. */
carousel_status carousel_builder_add_reshape(
    carousel_builder *builder, const char *name, const int64_t *shape, size_t rank);

/* Exchanges time and features. */
carousel_status carousel_builder_add_permute(carousel_builder *builder, const char *name);

/* A vector to a sequence of `count` equal steps. */
carousel_status carousel_builder_add_repeat_vector(
    carousel_builder *builder, const char *name, int64_t count);

/* Zero steps before and after. */
carousel_status carousel_builder_add_zero_padding1d(
    carousel_builder *builder, const char *name, int64_t left, int64_t right);

/* Every step `count` times. */
carousel_status carousel_builder_add_up_sampling1d(
    carousel_builder *builder, const char *name, int64_t count);

/* A state of the recurrent layer that it reads, after the last step: 0 is h, 1 is c; of a
 * bidirectional layer h_f, c_f, h_b, c_b in this order. To be an initial state, or any other value. */
carousel_status carousel_builder_add_final_state(
    carousel_builder *builder, const char *name, int32_t state);

typedef enum carousel_merge_kind {
    CAROUSEL_MERGE_CONCATENATE = 0,
    CAROUSEL_MERGE_ADD = 1,
    CAROUSEL_MERGE_SUBTRACT = 2,
    CAROUSEL_MERGE_MULTIPLY = 3,
    CAROUSEL_MERGE_AVERAGE = 4,
    CAROUSEL_MERGE_MAXIMUM = 5,
    CAROUSEL_MERGE_MINIMUM = 6
} carousel_merge_kind;

/* Of the layers that carousel_builder_read named; concatenates along the features. */
carousel_status carousel_builder_add_merge(
    carousel_builder *builder, const char *name, carousel_merge_kind kind);

/* ============================================================================================
 * 10  Parameters
 * ============================================================================================
 *
 * All parameters lie in one contiguous buffer that the caller may read, and may write while nothing
 * else uses the network; call carousel_network_parameters_changed afterwards. Each begins at a
 * multiple of 64 bytes; what lies between is zero and has no meaning. Gradients (section 11)
 * are laid out in the same way, so that MPI_Allreduce on the buffer adds up all of them.
 *
 * Names are "layer/part": "lstm/kernel" (inputs, gates * units), "lstm/recurrent_kernel" (units,
 * gates * units), "lstm/bias" (gates * units), "lstm/peephole_input", "lstm/projection", in
 * bidirectional layers "lstm/forward/kernel", "lstm/backward/kernel". Gate blocks come in the order
 * input, forget, cell, output; a gate that a cell lacks has no block.
 */

typedef struct carousel_parameter_info {
    size_t struct_size;
    const char *name;
    /* Index of the layer. */
    size_t layer;
    carousel_dtype dtype;
    int32_t rank;
    int64_t shape[4];
    int64_t count;
    /* Position in the buffer, in elements; -1 if the network is in reduced precision. */
    int64_t offset;
    /* The values, row-major: live until the handle is freed. NULL if the network is in reduced
     * precision: use carousel_network_read_parameter. */
    void *data;
    /* 0: statistics, or a frozen layer. */
    int32_t is_trainable;
    int32_t reserved;
} carousel_parameter_info;

carousel_status carousel_network_get_parameter(
    const carousel_network *network, size_t index, carousel_parameter_info *info);
carousel_status carousel_network_find_parameter(
    const carousel_network *network, const char *name, carousel_parameter_info *info);

/* The buffer of all parameters, and its size in bytes. Lives until the handle is freed. */
carousel_status carousel_network_get_parameter_buffer(
    const carousel_network *network, void **data, size_t *size);

/* What was written through a pointer into the parameters counts from the next call on. Streams and
 * tapes keep what they were made with. Changes the network. */
carousel_status carousel_network_parameters_changed(carousel_network *network);

/* Copies the values of parameter number `index`, row-major, in the network's dtype, into `size` bytes,
 * exactly as many as they take. Of networks in reduced precision: the values that it computes with. */
carousel_status carousel_network_read_parameter(
    const carousel_network *network, size_t index, void *values, size_t size);

/* All parameters as carousel_builder_build makes them. Changes the network. */
carousel_status carousel_network_initialize(carousel_network *network, uint64_t seed);

/* ============================================================================================
 * 11  Gradients and a look inside: tapes
 * ============================================================================================
 *
 * A tape is a forward pass that remembers everything. Give it the derivatives of a loss of your
 * own with respect to the outputs, and it gives those with respect to the parameters, the inputs
 * and the initial states (back-propagation through time). Ask it what a gate did at each step.
 *
 *     carousel_tape *tape = NULL;
 *     carousel_network_record(network, &x, 1, NULL, &tape);
 *     carousel_tape_get_output(tape, 0, &y);                       // y.data is ours
 *     ... gradient.data[i] = dLoss/dy[i] ...
 *     carousel_tape_backward(tape, &gradient, 1, NULL, 0);
 *     carousel_tape_get_parameter_gradients(tape, &gradients, &size);
 *     carousel_tape_free(tape);
 */

typedef struct carousel_record_options {
    size_t struct_size;
    /* Lengths, mask, states, training, seed; NULL: none. Final states are read from the tape; those
     * that the options name are stored, too. */
    const carousel_run_options *run;
    /* Not 0: the backward pass keeps the deltas of all steps, and the norms of dL/dc(t) and
     * dL/dh(t). */
    int32_t gradient_flow;
    int32_t reserved;
} carousel_record_options;

/* Runs the network and keeps what happened. `options` may be NULL. */
carousel_status carousel_network_record(
    carousel_network *network, const carousel_array *inputs, size_t input_count,
    const carousel_record_options *options, carousel_tape **tape);

/* Bytes that a tape for this batch would take, without taking them. */
carousel_status carousel_network_get_tape_size(
    const carousel_network *network, int64_t batch, const int64_t *times, size_t time_count,
    size_t *size);

/* Ends a handle, as carousel_network_free. The network keeps the memory of the last tape that was
 * freed, if it is at most 1 GiB, for the next one of the same batch and times. */
void carousel_tape_free(carousel_tape *tape);

/* Copies an output, or a state after the last valid step or before the first one (given, learned,
 * carried over, or zero), into the caller's array. */
carousel_status carousel_tape_get_output(
    const carousel_tape *tape, size_t index, const carousel_array *output);
carousel_status carousel_tape_get_final_state(
    const carousel_tape *tape, size_t index, const carousel_array *state);
carousel_status carousel_tape_get_initial_state(
    const carousel_tape *tape, size_t index, const carousel_array *state);

/* The backward pass: `output_gradients` are dL/doutput, one for each output;
 * `state_gradients` dL/dfinal state, one for each state, or NULL with count 0: zero. May be called
 * again with other gradients; the results are those of the last call. */
carousel_status carousel_tape_backward(
    carousel_tape *tape, const carousel_array *output_gradients, size_t output_gradient_count,
    const carousel_array *state_gradients, size_t state_gradient_count);

/* dL/dparameters after a backward pass, laid out as the network's parameter buffer and of the same
 * size in bytes. Lives until the tape is freed; the next backward pass overwrites it. */
carousel_status carousel_tape_get_parameter_gradients(
    const carousel_tape *tape, void **data, size_t *size);

/* Copies dL/dinput (zero for ids), or dL/dinitial state, after a backward pass. */
carousel_status carousel_tape_get_input_gradient(
    const carousel_tape *tape, size_t index, const carousel_array *gradient);
carousel_status carousel_tape_get_initial_state_gradient(
    const carousel_tape *tape, size_t index, const carousel_array *gradient);

/* What can be seen of a recurrent layer. Deltas, derivatives of the loss with respect to the
 * pre-activations, c(t) and h(t), and norms exist after a backward pass, if the tape was recorded
 * with gradient_flow. */
typedef enum carousel_trace_field {
    CAROUSEL_TRACE_INPUT_GATE = 0,
    CAROUSEL_TRACE_FORGET_GATE = 1,
    CAROUSEL_TRACE_CELL_INPUT = 2,
    CAROUSEL_TRACE_OUTPUT_GATE = 3,
    CAROUSEL_TRACE_CELL = 4,
    CAROUSEL_TRACE_HIDDEN = 5,
    CAROUSEL_TRACE_UPDATE_GATE = 6, /* GRU: z, r and the candidate */
    CAROUSEL_TRACE_RESET_GATE = 7,
    CAROUSEL_TRACE_CANDIDATE = 8,
    CAROUSEL_TRACE_INPUT_GATE_DELTA = 9,
    CAROUSEL_TRACE_FORGET_GATE_DELTA = 10,
    CAROUSEL_TRACE_CELL_INPUT_DELTA = 11,
    CAROUSEL_TRACE_OUTPUT_GATE_DELTA = 12,
    CAROUSEL_TRACE_CELL_DELTA = 13,
    CAROUSEL_TRACE_HIDDEN_DELTA = 14,
    CAROUSEL_TRACE_CELL_GRADIENT_NORM = 15,
    CAROUSEL_TRACE_HIDDEN_GRADIENT_NORM = 16,
    CAROUSEL_TRACE_INPUT = 17 /* what the layer read */
} carousel_trace_field;

/* Fills in type, rank, shape and strides (zero) of a field: (batch, time, width), or (time) for
 * norms. Steps come in the order of time, whatever way the layer walks. `direction` is 0, or 1 for
 * the backward half of a bidirectional layer. CAROUSEL_ERROR_NOT_FOUND if the layer has no such
 * field. */
carousel_status carousel_tape_get_trace_shape(
    const carousel_tape *tape, const char *layer, carousel_trace_field field, int32_t direction,
    carousel_array *array);

/* Copies a field into the caller's array of that shape. */
carousel_status carousel_tape_get_trace(
    const carousel_tape *tape, const char *layer, carousel_trace_field field, int32_t direction,
    const carousel_array *array);

/* ============================================================================================
 * 12  Training
 * ============================================================================================
 */

/* A trainer holds the gradients, what the optimiser remembers, and the memory of a step. In short:
 *
 *     carousel_loss loss = {.kind = CAROUSEL_LOSS_MSE};
 *     carousel_trainer_options options = {.struct_size = sizeof options, .losses = &loss,
 *                                         .loss_count = 1, .clip_norm = 1};
 *     carousel_training_data data = {.struct_size = sizeof data, .inputs = &x, .input_count = 1,
 *                                    .targets = &y, .target_count = 1};
 *     carousel_fit_options fit = {.struct_size = sizeof fit, .epochs = 20, .batch_size = 32};
 *     carousel_trainer *trainer = NULL;
 *     carousel_trainer_create(network, &options, &trainer);
 *     carousel_trainer_fit(trainer, &data, NULL, &fit);       // or carousel_trainer_step in a loop
 *     carousel_trainer_free(trainer);
 *
 * What comes out is a function of the network, the options and the data, to the last bit, at any
 * number of threads. A trainer changes its network; nothing else may use either during a call.
 */

/* The last step that all values were finite in is what remains if a loss, a gradient or a weight
 * becomes NaN or infinite: the call then fails with CAROUSEL_ERROR_NUMERIC and says at which step and
 * where. */

typedef enum carousel_loss_kind {
    CAROUSEL_LOSS_MSE = 0,
    CAROUSEL_LOSS_MAE = 1,
    CAROUSEL_LOSS_HUBER = 2,
    /* Targets from 0 to 1, as many as the output has features. */
    CAROUSEL_LOSS_BINARY_CROSSENTROPY = 3,
    CAROUSEL_LOSS_CATEGORICAL_CROSSENTROPY = 4,
    /* Targets are class numbers. */
    CAROUSEL_LOSS_SPARSE_CATEGORICAL_CROSSENTROPY = 5
} carousel_loss_kind;

/* The mean over an output's features (of cross-entropy over classes: the sum), then over the
 * positions (rows, and their steps) that are not masked, as in Keras. */
typedef struct carousel_loss {
    carousel_loss_kind kind;
    /* Cross-entropy: not 0: the output is not p but x with p = sigmoid(x) or softmax(x), which is
     * accurate where probabilities, clipped to [1e-7, 1 - 1e-7], are not. */
    int32_t from_logits;
    /* Huber: 0: 1. */
    double delta;
    /* Factor of this output's loss; 0: 1. */
    double weight;
} carousel_loss;

typedef enum carousel_metric {
    /* Of classes, or of features on the right side of one half. */
    CAROUSEL_METRIC_ACCURACY = 0,
    CAROUSEL_METRIC_MAE = 1,
    CAROUSEL_METRIC_MSE = 2
} carousel_metric;

enum { CAROUSEL_METRICS = 8 /* most metrics of a trainer */ };

typedef enum carousel_optimizer_kind {
    CAROUSEL_OPTIMIZER_ADAM = 0,
    CAROUSEL_OPTIMIZER_ADAMW = 1,
    CAROUSEL_OPTIMIZER_SGD = 2,
    CAROUSEL_OPTIMIZER_RMSPROP = 3
} carousel_optimizer_kind;

/* PyTorch's formulas. Numbers that are 0 have their default, negative ones are 0. */
typedef struct carousel_optimizer {
    carousel_optimizer_kind kind;
    /* SGD: Nesterov's momentum. */
    int32_t nesterov;
    /* RMSprop: divides by the deviation instead of the root mean square. */
    int32_t centered;
    int32_t reserved;
    /* 0.001; SGD 0.01. */
    double learning_rate;
    /* SGD, RMSprop: 0. */
    double momentum;
    /* RMSprop: 0.99, as PyTorch's alpha (Keras: 0.9). */
    double rho;
    /* Adam, AdamW: 0.9 and 0.999. */
    double beta_1;
    double beta_2;
    /* 1e-8. */
    double epsilon;
    /* AdamW: decoupled, 0.004. Others: added to the gradient, 0. */
    double weight_decay;
} carousel_optimizer;

typedef enum carousel_schedule_kind {
    CAROUSEL_SCHEDULE_CONSTANT = 0,
    CAROUSEL_SCHEDULE_STEP = 1,        /* factor to the power of floor(n / interval) */
    CAROUSEL_SCHEDULE_EXPONENTIAL = 2, /* factor to the power of n / interval */
    CAROUSEL_SCHEDULE_COSINE = 3,      /* from 1 to minimum in interval */
    CAROUSEL_SCHEDULE_PLATEAU = 4      /* times factor when the loss no longer falls */
} carousel_schedule_kind;

/* A factor on the learning rate. */
typedef struct carousel_schedule {
    carousel_schedule_kind kind;
    /* n and interval count epochs, not steps. */
    int32_t counts_epochs;
    /* Steps in which the rate rises to its value; 0: none. */
    int64_t warmup;
    int64_t interval;
    double factor;
    /* Cosine: a factor. Plateau: the smallest rate. */
    double minimum;
    /* Plateau: epochs without a fall of the validation loss (or the loss) by more than
     * minimum_delta, and epochs to wait after a reduction. */
    int64_t patience;
    int64_t cooldown;
    double minimum_delta;
} carousel_schedule;

typedef struct carousel_trainer_options {
    size_t struct_size;
    /* One for all outputs, or one for each; NULL with count 0: MSE. */
    const carousel_loss *losses;
    size_t loss_count;
    const carousel_metric *metrics;
    size_t metric_count;
    carousel_optimizer optimizer;
    carousel_schedule schedule;
    /* Gradients are scaled by min(1, clip_norm / (norm + 1e-6)), norm over all of them, then each
     * clipped to plus or minus clip_value; 0: not. */
    double clip_norm;
    double clip_value;
    /* The loss gains l1 sum|w| + l2 sum w^2 over the matrices. */
    double l1;
    double l2;
    /* Factors of the losses by class; NULL with count 0: 1. */
    const double *class_weights;
    size_t class_weight_count;
    /* Source of all randomness: shuffling, dropout. */
    uint64_t seed;
    /* Most threads to use; 0: carousel_threads() when the trainer is made. */
    int32_t threads;
    int32_t reserved;
    /* Most rows that are computed at once: larger batches come in parts, whose gradients are added
     * up; 0: no limit. */
    int64_t micro_batch;
    /* Most steps that are kept at once, a multiple of 16: longer sequences are computed twice, with
     * the same gradients bit for bit; 0: no limit. For networks that can run step by step. */
    int64_t segment;
    /* Truncated back-propagation: after each `truncate_every` steps of the sequences an update, for
     * their loss, with error flowing back `truncate_through` steps (a multiple; 0: as many). The
     * state is carried through the whole sequence. 0: not. */
    int64_t truncate_every;
    int64_t truncate_through;
    /* Not 0: what lies further back than truncate_every is not lost. The derivatives of the cells by
     * their weights are carried forwards (eligibility traces), for each row in as much memory as
     * those weights take, however long the sequence. With truncate_every = 1 this is the algorithm of
     * Hochreiter & Schmidhuber 1997, which learns at every step. For networks whose only
     * recurrent layer is an LSTM with truncate_gates, and with nothing trained before it
     * (CAROUSEL_ERROR_UNSUPPORTED, with the reason). In stateful networks the traces go on from call
     * to call, until the states are reset. */
    int32_t eligibility_traces;
    int32_t reserved_2;
} carousel_trainer_options;

/* `options` may be NULL. The trainer keeps the network alive. */
carousel_status carousel_trainer_create(
    carousel_network *network, const carousel_trainer_options *options,
    carousel_trainer **trainer);

/* Ends a handle, as carousel_network_free. */
void carousel_trainer_free(carousel_trainer *trainer);

/* What is to be learned. Row b of every array belongs to example b; nothing is copied but the batch
 * that is being computed. */
typedef struct carousel_training_data {
    size_t struct_size;
    const carousel_array *inputs;
    size_t input_count;
    /* One for each output: shaped as the output; or, for an output at every step, (batch, features):
     * to be met at each row's last valid step. Class numbers lack the features' axis, or have one. The
     * features' axis may be left out, too, where there is one feature. */
    const carousel_array *targets;
    size_t target_count;
    /* As in carousel_run_options; the mask in C order. */
    const int64_t *lengths;
    const uint8_t *mask;
    /* Factors of the losses, (batch) or (batch, time); NULL: 1. */
    const carousel_array *sample_weights;
} carousel_training_data;

typedef struct carousel_step_result {
    size_t struct_size;
    /* Number of the step, from 0. */
    int64_t step;
    /* Of the batch, before the step; with l1 and l2. */
    double loss;
    /* Euclidean norm of all gradients before clipping. */
    double gradient_norm;
    /* In the order of the options; the rest is 0. */
    double metrics[CAROUSEL_METRICS];
} carousel_step_result;

/* One step with all rows of `data` as the batch (with truncation: several). `result` may be NULL. */
carousel_status carousel_trainer_step(
    carousel_trainer *trainer, const carousel_training_data *data, carousel_step_result *result);

/* A step in halves, so that other machines' gradients can be added in between
 * (MPI_Allreduce on the buffer): first the gradients of a batch, into the buffer or, if `accumulate`
 * is not 0, added to it; then the step along what the buffer holds. */
carousel_status carousel_trainer_compute_gradients(
    carousel_trainer *trainer, const carousel_training_data *data, int32_t accumulate,
    carousel_step_result *result);
/* The buffer, laid out as the network's parameters. Lives until the trainer is freed. */
carousel_status carousel_trainer_get_gradients(
    const carousel_trainer *trainer, void **data, size_t *size);
/* `gradient_norm` may be NULL. */
carousel_status carousel_trainer_apply_gradients(
    carousel_trainer *trainer, double *gradient_norm);

/* Hears the gradients of every update, laid out as the network's parameters, before penalties and
 * clipping, and may change them: weights that share a value, learning rates of single weights, noise.
 * Returns 0 to go on; anything else ends the call with CAROUSEL_ERROR_INTERRUPTED, without that update.
 * May not use the trainer. */
typedef int32_t (*carousel_gradient_callback)(void *gradients, size_t size, void *context);

/* `callback` NULL: none, as at first. */
carousel_status carousel_trainer_set_gradient_callback(
    carousel_trainer *trainer, carousel_gradient_callback callback, void *context);

/* Loss and metrics of `data` in inference, in batches. `result->step` is the trainer's. */
carousel_status carousel_trainer_evaluate(
    carousel_trainer *trainer, const carousel_training_data *data, int64_t batch_size,
    carousel_step_result *result);

/* What a callback hears: after each batch, and after each epoch. */
typedef struct carousel_fit_event {
    size_t struct_size;
    /* From 0. */
    int64_t epoch;
    /* Batches done, and all, of this epoch. */
    int64_t batch;
    int64_t batch_count;
    /* Steps of the optimiser made. */
    int64_t step;
    int32_t is_end_of_epoch;
    int32_t has_validation;
    /* Means over the epoch so far. */
    double loss;
    double metrics[CAROUSEL_METRICS];
    double validation_loss;
    double validation_metrics[CAROUSEL_METRICS];
    double gradient_norm;
    double learning_rate;
} carousel_fit_event;

/* Returns 0 to go on, anything else to stop. May save the trainer, read from it and set its learning
 * rate, and use other networks. */
typedef int32_t (*carousel_fit_callback)(const carousel_fit_event *event, void *context);

typedef struct carousel_fit_options {
    size_t struct_size;
    /* Epochs that the trainer shall have finished, those of earlier calls and of a checkpoint
     * included; 0: 1. */
    int64_t epochs;
    /* 0: 32. */
    int64_t batch_size;
    int32_t no_shuffle;
    /* Not 0: stops after `patience` epochs in which the validation loss (or, without
     * validation, the loss) did not fall by more than `minimum_delta`. */
    int32_t early_stopping;
    int64_t patience;
    double minimum_delta;
    /* Early stopping leaves the last weights. If not, a call that is not stopped by the callback ends
     * with those of the best epoch. */
    int32_t keep_last;
    int32_t reserved;
    /* Share of the rows, the last ones, to validate with instead of to train on. */
    double validation_split;
    carousel_fit_callback callback;
    void *context;
} carousel_fit_options;

/* Goes through the data until the epochs are finished or early stopping ends it. If the callback
 * stops it the status is CAROUSEL_ERROR_INTERRUPTED: the trainer is as after the last batch, and
 * the next call with the same data and options goes on as if nothing had happened, even in the middle
 * of an epoch, even in another process (carousel_trainer_resume). `validation` may be NULL. */
carousel_status carousel_trainer_fit(
    carousel_trainer *trainer, const carousel_training_data *data,
    const carousel_training_data *validation, const carousel_fit_options *options);

typedef struct carousel_trainer_info {
    size_t struct_size;
    /* Steps of the optimiser made, epochs finished, rows of the present epoch done. */
    int64_t step;
    int64_t epoch;
    int64_t row;
    /* Of the next step, with the schedule; and without. */
    double learning_rate;
    double base_learning_rate;
    /* The epoch that early stopping holds for the best; -1: none. */
    int64_t best_epoch;
    /* Not 0: carousel_trainer_fit has nothing more to do. */
    int32_t is_stopped_early;
    int32_t reserved;
    /* Bytes that the trainer holds whatever the batch. */
    size_t held_size;
    /* Series of the history. */
    size_t history_count;
} carousel_trainer_info;

carousel_status carousel_trainer_get_info(
    const carousel_trainer *trainer, carousel_trainer_info *info);

/* The history has a value for each epoch of "loss", "val_loss", "accuracy", "learning_rate"...
 * Stores the series' name, and up to `capacity` values; `*count` is their number. `name` may be
 * NULL, and `values` with capacity 0. */
carousel_status carousel_trainer_get_history(
    const carousel_trainer *trainer, size_t index, const char **name, double *values,
    size_t capacity, size_t *count);

/* The optimiser's learning rate, before the schedule, for the steps to come. */
carousel_status carousel_trainer_set_learning_rate(carousel_trainer *trainer, double rate);

/* Freezes (0) or frees the parameter or the layer of that name. Statistics, and what the network's
 * architecture freezes, stay as they are. */
carousel_status carousel_trainer_set_trainable(
    carousel_trainer *trainer, const char *name, int32_t is_trainable);

/* Bytes that a step for this batch takes beside `held_size`, without taking them. */
carousel_status carousel_trainer_get_step_size(
    const carousel_trainer *trainer, int64_t batch, const int64_t *times, size_t time_count,
    size_t *size);

/* Writes a checkpoint: the network, which every reader of networks finds in it (Keras, too, if the
 * network can be expressed in its layout), and everything that training depends on, in the group
 * "carousel_training". The file is replaced in one step. */
carousel_status carousel_trainer_save(const carousel_trainer *trainer, const char *path);

/* Goes on from a checkpoint: fills the trainer, and its network's parameters. Network and options
 * must be those of the trainer that was saved (CAROUSEL_ERROR_STATE if not). Read checkpoints of your own
 * only: there is no untrusted mode (carousel_network_load has one, and reads the network in them). */
carousel_status carousel_trainer_resume(carousel_trainer *trainer, const char *path);

/* ============================================================================================
 * 13  Instruction sets and threads
 * ============================================================================================
 *
 * The best instruction set of the processor is chosen when the library is loaded, unless the
 * environment variable CAROUSEL_INSTRUCTION_SET names another one.
 */

/* The instruction set in use: "baseline", "avx2", "avx512" or "avx512_bf16" (AVX-512 with its BF16 and
 * VNNI instructions, for weights in reduced precision). Static. */
const char *carousel_instruction_set(void);

/* Uses another one, for networks and streams that are made from now on; NULL: the best one.
 * CAROUSEL_ERROR_UNSUPPORTED if the processor does not have it. For tests and comparisons. */
carousel_status carousel_set_instruction_set(const char *name);

/* Most threads that a call uses, unless its options say otherwise. At first the number of
 * processors that the process may run on. */
int32_t carousel_threads(void);

/* 1 to 1024; 0: the number of processors. The threads are made when they are first needed. Streams
 * run in the thread that calls them, unless carousel_stream_set_threads says otherwise. */
carousel_status carousel_set_threads(int32_t threads);

/* ============================================================================================
 * 14  Reduced precision
 * ============================================================================================
 *
 * A network for inference whose weights take half of the memory (bfloat16) or a quarter (int8), in files,
 * too, and whose steps take less time where reading weights is what they wait for: batches of a few
 * rows and 128 units or more. Ask for it when a file is loaded (carousel_load_options.precision), or make it
 * from a network in float32, and look what it costs:
 *
 *     carousel_network *small = NULL;
 *     carousel_output_error error = {.struct_size = sizeof error};
 *     carousel_network_quantize(network, CAROUSEL_PRECISION_INT8, &small);
 *     carousel_network_measure_error(small, network, &x, 1, NULL, &error, 1);
 *     printf("largest difference %g, of values up to %g\n", error.max_error, error.max_reference);
 *
 * Rounded are the matrices of LSTM, GRU and SimpleRNN layers, the kernels of Dense layers and the
 * tables of embeddings; all else (biases, peepholes, convolutions, normalisation), and all states, inputs
 * and outputs, are float32 as before.
 *
 *     bfloat16   weights rounded to nearest, 8 significant bits. Results are those of the float32
 *                network with the rounded weights, bit for bit; but "avx512_bf16" rounds what is multiplied
 *                with them, too, and takes half the time for batches.
 *     int8       weights are whole numbers from -127 to 127 times one scale for each output channel
 *                (column; of embeddings: row). What is multiplied with them is rounded, too, to 16
 *                bits with one scale for each row of the batch and step; sums are exact.
 *
 * As in float32, the bits depend neither on batch, threads nor streaming, nor, but for that, on the
 * instruction set (AVX2 and AVX-512). Such a network runs, streams, is copied and saved ("carousel" keeps the precision, all
 * other layouts get the rounded values as float32). What changes or differentiates parameters is refused
 * with CAROUSEL_ERROR_STATE: load_weights, initialize, get_parameter_buffer, record, trainer_create.
 * A cell of more than some 8,000 units stays float32 in an int8 network.
 */

/* Makes a network of its own from one in float32 or in reduced precision;
 * CAROUSEL_PRECISION_FLOAT32 gives back a float32 network, with the rounded weights. CAROUSEL_ERROR_STATE
 * for networks in float64, CAROUSEL_ERROR_NUMERIC for weights that are NaN, infinite or beyond 1e36. */
carousel_status carousel_network_quantize(
    const carousel_network *network, carousel_precision precision, carousel_network **quantized);

/* What became of a layer. */
typedef struct carousel_quantization_info {
    size_t struct_size;
    /* Of its matrices; CAROUSEL_PRECISION_FLOAT32: the layer is as it was. */
    carousel_precision precision;
    int32_t reserved;
    /* Numbers that were rounded, and the bytes of all parameters of the layer. */
    int64_t weight_count;
    size_t size;
    /* Differences of the rounded numbers from those that they were made from, since the network was
     * quantized or loaded (0 if the file had them rounded): the largest; the root of their mean square;
     * and that divided by the root mean square of the numbers. */
    double max_error;
    double rms_error;
    double relative_error;
} carousel_quantization_info;

/* Of layer number `index`. */
carousel_status carousel_network_get_quantization(
    const carousel_network *network, size_t index, carousel_quantization_info *info);

/* Differences of an output from that of another network. */
typedef struct carousel_output_error {
    size_t struct_size;
    /* The largest, and the root of the mean square. */
    double max_error;
    double rms_error;
    /* The same of the other network's values. */
    double max_reference;
    double rms_reference;
    /* rms_error / rms_reference; 0 if that is 0. */
    double relative_error;
} carousel_output_error;

/* Runs two networks of the same architecture on the same inputs and compares their outputs: one error
 * for each output. Set the struct_size of each. `options` as for carousel_network_run (without final
 * states), or NULL. Neither network changes; what stateful ones carry does not count. */
carousel_status carousel_network_measure_error(
    const carousel_network *network, const carousel_network *reference,
    const carousel_array *inputs, size_t input_count, const carousel_run_options *options,
    carousel_output_error *errors, size_t error_count);

#ifdef __cplusplus
}
#endif

#endif /* CAROUSEL_H */
