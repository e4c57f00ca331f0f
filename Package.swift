// swift-tools-version: 6.2
import PackageDescription

// SwiftPM builds Carousel for development, tests and Swift programs. What ships to C and Python is
// built by CMake (CMakeLists.txt) from the same sources.

// The kernels are compiled once per instruction set from the same files: Sources/Kernels holds
// them, the folders of the targets hold links. A clang flag steers Swift's code generation. They are
// optimised in debug builds, too: without it a vector operation is a generic call, and tests of
// anything that computes would take hours.
let optimised = [
  "-enable-experimental-feature", "BuiltinModule", "-Ounchecked", "-wmo", "-num-threads", "1",
  "-Xfrontend", "-disable-stack-protector",
]
#if arch(x86_64)
  let avx2: [SwiftSetting] = [
    .unsafeFlags(optimised + ["-Xcc", "-march=x86-64-v3"]), .define("KERNELS_AVX2"),
  ]
  // For testing without a processor that has AVX-512: the tiles and layouts of that set in AVX2 instructions
  // (docs/adding-an-instruction-set.md).
  let plays512 = Context.environment["CAROUSEL_AVX512_ON_AVX2"] != nil
  let avx512: [SwiftSetting] =
    [
      .unsafeFlags(optimised + ["-Xcc", plays512 ? "-march=x86-64-v3" : "-march=x86-64-v4"]),
      .define("KERNELS_AVX512"),
    ] + (plays512 ? [.define("KERNELS_AVX512_ON_AVX2")] : [])
  let avx512BF16: [SwiftSetting] = [
    .unsafeFlags(
      optimised + ["-Xcc", "-march=x86-64-v4", "-Xcc", "-mavx512bf16", "-Xcc", "-mavx512vnni"]),
    .define("KERNELS_AVX512"), .define("KERNELS_AVX512_BF16"),
  ]
  let kernelTargets: [Target] = [
    .target(
      name: "KernelsBaseline", dependencies: ["KernelInterface"],
      swiftSettings: [.unsafeFlags(optimised)]),
    .target(name: "KernelsAVX2", dependencies: ["KernelInterface"], swiftSettings: avx2),
    .target(name: "KernelsAVX512", dependencies: ["KernelInterface"], swiftSettings: avx512),
    .target(
      name: "KernelsAVX512BF16", dependencies: ["KernelInterface", "CInstructions"],
      swiftSettings: avx512BF16),
    // Instructions that Swift's compiler has no name for.
    .systemLibrary(name: "CInstructions"),
  ]
#else
  let plays512 = false
  let kernelTargets: [Target] = [
    .target(
      name: "KernelsBaseline", dependencies: ["KernelInterface"],
      swiftSettings: [.unsafeFlags(optimised)])
  ]
#endif
let kernelDependencies: [Target.Dependency] =
  ["KernelInterface"] + kernelTargets.map { .target(name: $0.name) }

let package = Package(
  name: "Carousel",
  products: [
    // The engine, for Swift programs.
    .library(name: "LSTM", targets: ["LSTM"]),
    // Reading and writing model files (needs libhdf5-dev and libjansson-dev).
    .library(name: "ModelFiles", targets: ["ModelFiles"]),
    // The C ABI.
    .library(name: "carousel", type: .dynamic, targets: ["Carousel"]),
  ],
  targets: [
    .target(
      name: "CPlatform", cSettings: plays512 ? [.define("CAROUSEL_AVX512_ON_AVX2")] : []),
    .target(name: "KernelInterface"),
    .target(name: "LSTM", dependencies: kernelDependencies + ["CPlatform"]),
    // Headers only: libhdf5 and libzip are opened when the first file is (Sources/ModelFiles).
    .systemLibrary(name: "CHDF5", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "CZip", providers: [.apt(["libzip-dev"])]),
    .systemLibrary(
      name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
    .target(
      name: "ModelFiles", dependencies: ["LSTM", "CPlatform", "CHDF5", "CJansson", "CZip"]),
    // include/carousel.h as a module, so that the compiler checks every entry point against it.
    .systemLibrary(name: "CCarousel", path: "include"),
    // The example of a Swift program.
    .executableTarget(
      name: "forecast", dependencies: ["LSTM", "ModelFiles"], path: "bindings/swift/forecast"),
    .executableTarget(
      name: "kernel-benchmark", dependencies: ["LSTM", "KernelInterface"],
      path: "benchmarks/kernels"),
    .target(name: "CStatus"),
    .target(
      name: "Carousel",
      dependencies: ["LSTM", "ModelFiles", "CCarousel", "CStatus", "CPlatform"]),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "KernelTests", dependencies: kernelDependencies + ["LSTM", "TestSupport"]),
    .testTarget(name: "LSTMTests", dependencies: ["LSTM", "TestSupport", "CPlatform"]),
    .testTarget(name: "ModelFilesTests", dependencies: ["ModelFiles"]),
  ] + kernelTargets
)
