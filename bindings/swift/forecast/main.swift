// Forecasts the sunspot number of each of the last years from the years before, in Swift, on the
// engine itself: the same model, data and numbers as bindings/c/examples/forecast.c.
//
//     swift run -c release forecast [MODEL.h5 [SUNSPOTS.csv]]
//
// A program of your own depends on the package's products `LSTM` and `ModelFiles`.
import Glibc
import LSTM
import ModelFiles

/// The model sees sqrt(count / 200).
let largestCount: Float = 200
let firstTestYear = 1960

func readCounts(_ path: String) -> [(year: Int, count: Float)] {
  guard let file = fopen(path, "r") else { return [] }
  defer { fclose(file) }
  var rows: [(year: Int, count: Float)] = []
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, Int32(line.count), file) != nil {
    let fields = String(
      decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self
    )
    .split { $0 == "," || $0 == "\n" || $0 == "\r" }
    if fields.count == 2, let year = Int(fields[0]), let count = Float(fields[1]) {
      rows.append((year, count))
    }
  }
  return rows
}

/// One forecast for each window; the windows are the rows of one batch.
func forecast(_ network: AnyNetwork, _ scaled: [Float], window: Int) throws(EngineError) -> [Float]
{
  let rows = scaled.count - window
  var input: [Float] = []
  for row in 0..<rows { input += scaled[row..<row + window] }
  var output = [Float](repeating: 0, count: rows)
  // Arrays are lent to the engine for the length of the call, as views (batch, time, features).
  let result = input.withUnsafeMutableBytes { input in
    output.withUnsafeMutableBytes { output in
      Result { () throws(EngineError) in
        try network.forward(
          [
            .init(
              contiguous: input.baseAddress, element: .float32, batch: rows, time: window, width: 1)
          ],
          into: [
            .init(contiguous: output.baseAddress, element: .float32, batch: rows, time: 1, width: 1)
          ])
      }
    }
  }
  try result.get()
  return output
}

func rootMeanSquare(_ errors: [Float]) -> Float {
  (errors.reduce(0) { $0 + $1 * $1 } / Float(errors.count)).squareRoot()
}

func run(model: String, data: String) throws(EngineError) {
  let rows = readCounts(data)
  let network = try ModelFile.load(model).network
  guard case .input(let input) = network.description.nodes[0].layer.kind,
    let window = input.shape.time, window < rows.count
  else {
    throw EngineError(.shape, "the model must read (batch, window, 1), and \(data) be longer")
  }

  let scaled = rows.map { ($0.count / largestCount).squareRoot() }
  let forecasts = try forecast(network, scaled, window: window)
    .map { max($0, 0) * max($0, 0) * largestCount }

  var errors: [Float] = []
  var persistence: [Float] = []
  for index in rows.indices where rows[index].year >= firstTestYear && index >= window {
    let (year, count) = rows[index]
    let predicted = forecasts[index - window]
    print("\(year)  sunspots \(count)  forecast \((predicted * 10).rounded() / 10)")
    errors.append(predicted - count)
    persistence.append(rows[index - 1].count - count)
  }
  let tenths = { (value: Float) in (value * 100).rounded() / 100 }
  print(
    "RMSE: forecast \(tenths(rootMeanSquare(errors))),",
    "persistence \(tenths(rootMeanSquare(persistence)))")
}

do {
  let arguments = CommandLine.arguments
  try run(
    model: arguments.count > 1 ? arguments[1] : "data/sunspots/forecaster.h5",
    data: arguments.count > 2 ? arguments[2] : "data/sunspots/sunspots.csv")
} catch {
  print("forecast: \(error.message)")
  exit(1)
}
