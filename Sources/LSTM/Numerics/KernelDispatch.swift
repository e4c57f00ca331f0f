import CPlatform
import Glibc
import KernelInterface
import KernelsBaseline
import Synchronization

#if arch(x86_64)
  import KernelsAVX2
  import KernelsAVX512
  import KernelsAVX512BF16
#endif

/// The instruction sets that Carousel has kernels for.
public enum InstructionSet: String, Sendable, CaseIterable {
  case baseline, avx2, avx512
  /// AVX-512 with its products of pairs, BF16 and VNNI: for weights in reduced precision.
  case avx512BF16 = "avx512_bf16"

  /// Whether this processor and operating system can run it.
  public var isSupported: Bool {
    #if arch(x86_64)
      let features = carousel_cpu_features()
      switch self {
      case .baseline: return true
      case .avx2: return features & UInt32(CAROUSEL_CPU_AVX2_FMA.rawValue) != 0
      case .avx512: return features & UInt32(CAROUSEL_CPU_AVX512.rawValue) != 0
      case .avx512BF16:
        let pairs = UInt32(CAROUSEL_CPU_AVX512_BF16.rawValue | CAROUSEL_CPU_AVX512_VNNI.rawValue)
        return features & pairs == pairs
      }
    #else
      return self == .baseline
    #endif
  }

  /// The kernels of the set; the baseline's if this machine does not support it.
  public var kernels: KernelTable { KernelDispatch.tables[KernelDispatch.index(of: self)] }

  fileprivate func makeKernels() -> KernelTable {
    #if arch(x86_64)
      switch self {
      case .baseline: KernelsBaseline.kernelTable()
      case .avx2: KernelsAVX2.kernelTable()
      case .avx512: KernelsAVX512.kernelTable()
      case .avx512BF16: KernelsAVX512BF16.kernelTable()
      }
    #else
      KernelsBaseline.kernelTable()
    #endif
  }

  public static var supported: [InstructionSet] { allCases.filter(\.isSupported) }
}

/// Chooses the kernels, once for the process: the best set that the processor has, or what the
/// environment variable CAROUSEL_INSTRUCTION_SET names (ignored if it is unknown or unsupported).
public enum KernelDispatch {
  /// The set in use, as its index in `InstructionSet.allCases`.
  private static let chosen = Atomic<Int>(index(of: initialChoice()))
  fileprivate static let tables: [KernelTable] = {
    let baseline = InstructionSet.baseline.makeKernels()
    return InstructionSet.allCases.map {
      $0.isSupported && $0 != .baseline ? $0.makeKernels() : baseline
    }
  }()

  public static var instructionSet: InstructionSet {
    InstructionSet.allCases[chosen.load(ordering: .relaxed)]
  }

  public static var kernels: KernelTable { tables[chosen.load(ordering: .relaxed)] }

  /// Uses another set for networks that are made from now on; packed weights are laid out for the
  /// set that they were packed with.
  public static func select(_ set: InstructionSet) throws(EngineError) {
    guard set.isSupported else {
      throw EngineError(
        .unsupported,
        "instruction set \(set.rawValue): this processor does not have it (it has "
          + InstructionSet.supported.map(\.rawValue).joined(separator: ", ") + ")")
    }
    chosen.store(index(of: set), ordering: .relaxed)
  }

  private static func initialChoice() -> InstructionSet {
    if let text = getenv("CAROUSEL_INSTRUCTION_SET"),
      let set = InstructionSet(rawValue: String(cString: text)), set.isSupported
    {
      return set
    }
    return InstructionSet.supported.last ?? .baseline
  }

  fileprivate static func index(of set: InstructionSet) -> Int {
    InstructionSet.allCases.firstIndex(of: set) ?? 0
  }
}
