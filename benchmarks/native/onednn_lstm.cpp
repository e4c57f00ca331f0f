// oneDNN's LSTM primitive as a peer (versions 2 and 3; Debian's libdnnl-dev).
//
//   g++ -O3 -std=c++17 onednn_lstm.cpp -o onednn_lstm -ldnnl -fopenmp
//   ./onednn_lstm THREADS      (see worker.h; set OMP_NUM_THREADS as well)
//
// Inference: the weights are brought once into the layout that oneDNN prefers. Training: they come
// in the plain layout each time, since an optimiser would have changed them, so the reorders are in
// the time, and so is zeroing the weight gradients, into which oneDNN adds.

#include "worker.h"

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

using dnnl::lstm_backward;
using dnnl::lstm_forward;
using dnnl::memory;
using dnnl::prop_kind;
using Arguments = std::unordered_map<int, memory>;
using Tag = memory::format_tag;

namespace {

memory::desc describe(const memory::dims &dims, Tag tag) {
  return {dims, memory::data_type::f32, tag};
}

struct Machine {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};

  memory make(const memory::desc &desc) {
    memory m(desc, engine);
    memset(m.get_data_handle(), 0, desc.get_size());
    return m;
  }
  memory make(const memory::desc &desc, const float *values) {
    memory m(desc, engine);
    memcpy(m.get_data_handle(), values, desc.get_size());
    return m;
  }
  memory reordered(memory &from, const memory::desc &desc) {
    memory to = make(desc);
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    return to;
  }
};

Machine &machine() {
  static Machine instance;
  return instance;
}

void clear(memory &m) { memset(m.get_data_handle(), 0, m.get_desc().get_size()); }
const float *floats(const memory &m) { return static_cast<const float *>(m.get_data_handle()); }

// Everything that forward and backward share: shapes, weights, descriptors.
struct LSTM {
  bench_workload w;
  memory::desc x, y, state, none, bias, any_input, any_recurrent;
  memory plain_input, plain_recurrent, b, source;
  dnnl::rnn_direction direction;

  LSTM(const bench_workload &workload, const bench_data &data) : w(workload) {
    const long h = w.hidden_size, l = w.layers, d = w.directions, g = BENCH_GATES;
    x = describe({w.time_steps, w.batch, w.input_size}, Tag::tnc);
    y = describe({w.time_steps, w.batch, d * h}, Tag::tnc);
    state = describe({l, d, w.batch, h}, Tag::ldnc);
    const memory::dims input_dims{l, d, w.input_size, g, h}, recurrent_dims{l, d, h, g, h};
    bias = describe({l, d, g, h}, Tag::ldgo);
    any_input = describe(input_dims, Tag::any);
    any_recurrent = describe(recurrent_dims, Tag::any);
    // (4 H, in) to ldigo; the gate order i, f, g, o is oneDNN's own.
    std::vector<float> input, recurrent, biases;
    for (long k = 0; k < l * d; k++) {
      const bench_direction &from = data.directions[k];
      append_transposed(input, from.input_kernel, w.input_size);
      append_transposed(recurrent, from.recurrent_kernel, h);
      biases.insert(biases.end(), from.bias, from.bias + g * h);
    }
    plain_input = machine().make(describe(input_dims, Tag::ldigo), input.data());
    plain_recurrent = machine().make(describe(recurrent_dims, Tag::ldigo), recurrent.data());
    b = machine().make(bias, biases.data());
    source = machine().make(x, data.x);
    direction = d == 2 ? dnnl::rnn_direction::bidirectional_concat
                       : dnnl::rnn_direction::unidirectional_left2right;
  }

  void append_transposed(std::vector<float> &to, const float *rows, long columns) const {
    const long count = BENCH_GATES * w.hidden_size;
    for (long i = 0; i < columns; i++)
      for (long o = 0; o < count; o++) to.push_back(rows[o * columns + i]);
  }

  lstm_forward::primitive_desc forward(prop_kind kind, const memory::desc &before,
                                       const memory::desc &after) const {
#if DNNL_VERSION_MAJOR >= 3
    return {machine().engine, kind, direction, x,     before, before, any_input,
            any_recurrent,    bias, y,         after, after};
#else
    return {{kind, direction, x, before, before, any_input, any_recurrent, bias, y, after, after},
            machine().engine};
#endif
  }

  lstm_backward::primitive_desc backward(const lstm_forward::primitive_desc &hint) const {
    const prop_kind kind = prop_kind::backward;
#if DNNL_VERSION_MAJOR >= 3
    return {machine().engine, kind,          direction, x, state, state, any_input,
            any_recurrent,    bias,          y,         none, none,  x,     state,
            state,            any_input,     any_recurrent, bias, y, none,  none,
            hint};
#else
    return {{kind,  direction, x,     state,         state, any_input, any_recurrent,
             bias,  y,         none,  none,          x,     state,     state,
             any_input, any_recurrent, bias, y, none, none},
            machine().engine,
            hint};
#endif
  }
};

struct Inference {
  LSTM net;
  lstm_forward primitive;
  memory y;
  std::vector<memory> h, c;
  Arguments arguments[2];
  long taken = 0;

  Inference(const bench_workload &w, const bench_data &data) : net(w, data) {
    const bool step = strcmp(w.kind, "step") == 0;
    const memory::desc &state = step ? net.state : net.none;
    const auto chosen = net.forward(prop_kind::forward_inference, state, state);
    primitive = lstm_forward(chosen);
    y = machine().make(net.y);
    const memory input = machine().reordered(net.plain_input, chosen.weights_layer_desc());
    const memory recurrent = machine().reordered(net.plain_recurrent, chosen.weights_iter_desc());
    for (int k = 0; k < 2 && step; k++) {
      h.push_back(machine().make(net.state));
      c.push_back(machine().make(net.state));
    }
    for (int k = 0; k < 2; k++) {
      arguments[k] = {{DNNL_ARG_SRC_LAYER, net.source},
                      {DNNL_ARG_WEIGHTS_LAYER, input},
                      {DNNL_ARG_WEIGHTS_ITER, recurrent},
                      {DNNL_ARG_BIAS, net.b},
                      {DNNL_ARG_DST_LAYER, y}};
      if (!step) continue;
      arguments[k].insert({{DNNL_ARG_SRC_ITER, h[k]},
                           {DNNL_ARG_SRC_ITER_C, c[k]},
                           {DNNL_ARG_DST_ITER, h[1 - k]},
                           {DNNL_ARG_DST_ITER_C, c[1 - k]}});
    }
  }

  void call(long count) {
    for (const long end = taken + count; taken < end; taken++) {
      primitive.execute(machine().stream, arguments[taken & 1]);
      machine().stream.wait();
    }
  }
  int outputs(FILE *file) {
    for (memory &m : h) clear(m);
    for (memory &m : c) clear(m);
    call(h.empty() ? 1 : BENCH_CHECKED_STEPS);
    return bench_write(file, floats(y), bench_output_count(&net.w));
  }
};

struct Training {
  struct Move {
    memory from, to;
    dnnl::reorder reorder;
    Move(memory a, memory b) : from(a), to(b), reorder(a, b) {}
  };
  LSTM net;
  lstm_forward forward;
  lstm_backward backward;
  std::vector<Move> before, after;
  memory dx, db, d_input, d_recurrent, plain_d_input, plain_d_recurrent;
  Arguments forward_arguments, backward_arguments;

  Training(const bench_workload &w, const bench_data &data) : net(w, data) {
    Machine &m = machine();
    // Zero states are passed: without a src_iter, versions 2.6 and 3.2 return a wrong recurrent
    // weight gradient.
    const auto f = net.forward(prop_kind::forward_training, net.state, net.none);
    const auto b = net.backward(f);
    forward = lstm_forward(f);
    backward = lstm_backward(b);
    memory fi = m.make(f.weights_layer_desc()), fr = m.make(f.weights_iter_desc());
    memory bi = m.make(b.weights_layer_desc()), br = m.make(b.weights_iter_desc());
    before = {{net.plain_input, fi}, {net.plain_recurrent, fr},
              {net.plain_input, bi}, {net.plain_recurrent, br}};
    dx = m.make(net.x);
    db = m.make(net.bias);
    d_input = m.make(b.diff_weights_layer_desc());
    d_recurrent = m.make(b.diff_weights_iter_desc());
    plain_d_input = m.make(net.plain_input.get_desc());
    plain_d_recurrent = m.make(net.plain_recurrent.get_desc());
    after = {{d_input, plain_d_input}, {d_recurrent, plain_d_recurrent}};
    forward_arguments = {{DNNL_ARG_SRC_LAYER, net.source},
                         {DNNL_ARG_SRC_ITER, m.make(net.state)},
                         {DNNL_ARG_SRC_ITER_C, m.make(net.state)},
                         {DNNL_ARG_WEIGHTS_LAYER, fi},
                         {DNNL_ARG_WEIGHTS_ITER, fr},
                         {DNNL_ARG_BIAS, net.b},
                         {DNNL_ARG_DST_LAYER, m.make(net.y)},
                         {DNNL_ARG_WORKSPACE, m.make(f.workspace_desc())}};
    backward_arguments = forward_arguments;
    backward_arguments[DNNL_ARG_WEIGHTS_LAYER] = bi;
    backward_arguments[DNNL_ARG_WEIGHTS_ITER] = br;
    backward_arguments.insert({{DNNL_ARG_DIFF_DST_LAYER, m.make(net.y, data.output_gradient)},
                               {DNNL_ARG_DIFF_SRC_LAYER, dx},
                               {DNNL_ARG_DIFF_SRC_ITER, m.make(net.state)},
                               {DNNL_ARG_DIFF_SRC_ITER_C, m.make(net.state)},
                               {DNNL_ARG_DIFF_WEIGHTS_LAYER, d_input},
                               {DNNL_ARG_DIFF_WEIGHTS_ITER, d_recurrent},
                               {DNNL_ARG_DIFF_BIAS, db}});
  }

  void call(long count) {
    dnnl::stream &stream = machine().stream;
    for (long k = 0; k < count; k++) {
      for (Move &move : before) move.reorder.execute(stream, move.from, move.to);
      forward.execute(stream, forward_arguments);
      clear(d_input);
      clear(d_recurrent);
      clear(db);
      backward.execute(stream, backward_arguments);
      for (Move &move : after) move.reorder.execute(stream, move.from, move.to);
      stream.wait();
    }
  }
  int outputs(FILE *file) {
    call(1);
    const long h = net.w.hidden_size, rows = BENCH_GATES * h;
    int failed = bench_write(file, floats(dx), net.x.get_size() / sizeof(float));
    failed |= write_transposed(file, floats(plain_d_input), net.w.input_size, rows);
    failed |= write_transposed(file, floats(plain_d_recurrent), h, rows);
    return failed | bench_write(file, floats(db), static_cast<size_t>(rows));
  }
  static int write_transposed(FILE *file, const float *values, long in, long rows) {
    std::vector<float> turned;
    for (long o = 0; o < rows; o++)
      for (long i = 0; i < in; i++) turned.push_back(values[i * rows + o]);
    return bench_write(file, turned.data(), turned.size());
  }
};

template <class P>
bench_program wrap(const bench_workload &w, const bench_data &data) {
  bench_program program;
  program.state = new P(w, data);
  program.call = [](void *p, long count) { static_cast<P *>(p)->call(count); };
  program.outputs = [](void *p, FILE *file) { return static_cast<P *>(p)->outputs(file); };
  program.close = [](void *p) { delete static_cast<P *>(p); };
  return program;
}

bench_outcome build(const bench_workload *w, const bench_data *data, int, bench_program *program,
                    char message[400]) {
  const bool train = strcmp(w->kind, "train") == 0;
  if (w->layers > 1 && (w->directions > 1 || w->input_size != w->hidden_size || train)) {
    snprintf(message, 400, "this stack is not one oneDNN primitive");
    return BENCH_SKIPPED;
  }
  if (train && w->directions > 1) {
    snprintf(message, 400, "not written for bidirectional training");
    return BENCH_SKIPPED;
  }
  try {
    *program = train ? wrap<Training>(*w, *data) : wrap<Inference>(*w, *data);
    return BENCH_BUILT;
  } catch (const std::exception &error) {
    snprintf(message, 400, "%.390s", error.what());
    return BENCH_FAILED;
  }
}

}  // namespace

int main(int argc, char **argv) {
  char version[64];
  const dnnl_version_t *v = dnnl_version();
  snprintf(version, sizeof version, "oneDNN %d.%d.%d, C++", v->major, v->minor, v->patch);
  return bench_main(argc > 1 ? atoi(argv[1]) : 1, version, build);
}
