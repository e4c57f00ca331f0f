import CCarousel
import ModelFiles

@_cdecl("carousel_reader_main") @implementation
public func carousel_reader_main() -> Int32 {
  ReaderProcess.main()
}
