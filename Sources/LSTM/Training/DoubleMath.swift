#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

// The C library's functions under names that do not clash with enum cases.

@inline(__always) func natural(_ x: Double) -> Double { log(x) }
@inline(__always) func naturalOfOnePlus(_ x: Double) -> Double { log1p(x) }
@inline(__always) func exponential(_ x: Double) -> Double { exp(x) }
@inline(__always) func cosine(_ x: Double) -> Double { cos(x) }
@inline(__always) func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }
