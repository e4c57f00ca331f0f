import CHDF5

/// The functions and predefined identifiers of libhdf5 that are used, by their C names.
///
/// `H5T_NATIVE_DOUBLE` and its like are macros over global variables, which libhdf5 fills in `H5open`.
/// Where a release renamed a function (`H5Lget_info`), the variants agree in what is used here.
struct HDF5Functions: @unchecked Sendable {
  typealias Close = @convention(c) (hid_t) -> herr_t
  typealias Iterator =
    @convention(c) (
      hid_t, UnsafePointer<CChar>?, UnsafeRawPointer?, UnsafeMutableRawPointer?
    ) -> herr_t
  typealias ErrorWalker =
    @convention(c) (
      UInt32, UnsafePointer<H5E_error2_t>?, UnsafeMutableRawPointer?
    ) -> herr_t
  typealias ErrorHandler = @convention(c) (hid_t, UnsafeMutableRawPointer?) -> herr_t

  // Library and errors.
  let open: @convention(c) () -> herr_t
  let version:
    @convention(c) (
      UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>
    ) -> herr_t
  let freeMemory: @convention(c) (UnsafeMutableRawPointer?) -> herr_t
  let getErrorHandler:
    @convention(c) (
      hid_t, UnsafeMutablePointer<ErrorHandler?>, UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> herr_t
  let setErrorHandler: @convention(c) (hid_t, ErrorHandler?, UnsafeMutableRawPointer?) -> herr_t
  let walkErrors:
    @convention(c) (
      hid_t, UInt32, ErrorWalker?, UnsafeMutableRawPointer?
    ) -> herr_t
  let clearErrors: @convention(c) (hid_t) -> herr_t
  let getPluginState: @convention(c) (UnsafeMutablePointer<UInt32>) -> herr_t
  let setPluginState: @convention(c) (UInt32) -> herr_t

  // Files and property lists.
  let openFile: @convention(c) (UnsafePointer<CChar>, UInt32, hid_t) -> hid_t
  let createFile: @convention(c) (UnsafePointer<CChar>, UInt32, hid_t, hid_t) -> hid_t
  let flushFile: @convention(c) (hid_t, Int32) -> herr_t
  let closeFile: Close
  let createProperties: @convention(c) (hid_t) -> hid_t
  let closeProperties: Close
  let setCloseDegree: @convention(c) (hid_t, Int32) -> herr_t
  let setCoreDriver: @convention(c) (hid_t, Int, Bool) -> herr_t
  let setFileImage: @convention(c) (hid_t, UnsafeMutableRawPointer, Int) -> herr_t
  let getFileImage: @convention(c) (hid_t, UnsafeMutableRawPointer?, Int) -> Int
  let setFileLocking: (@convention(c) (hid_t, Bool, Bool) -> herr_t)?
  let setTrackTimes: @convention(c) (hid_t, Bool) -> herr_t
  let setChunk: @convention(c) (hid_t, Int32, UnsafePointer<hsize_t>) -> herr_t
  let setDeflate: @convention(c) (hid_t, UInt32) -> herr_t
  let setShuffle: @convention(c) (hid_t) -> herr_t
  let getLayout: @convention(c) (hid_t) -> Int32
  let getChunk: @convention(c) (hid_t, Int32, UnsafeMutablePointer<hsize_t>) -> Int32
  let getExternalCount: @convention(c) (hid_t) -> Int32
  let getFilterCount: @convention(c) (hid_t) -> Int32
  let getFilter:
    @convention(c) (
      hid_t, UInt32, UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<Int>,
      UnsafeMutablePointer<UInt32>?, Int, UnsafeMutablePointer<CChar>?,
      UnsafeMutablePointer<UInt32>?
    ) -> Int32
  let isFilterAvailable: @convention(c) (Int32) -> Int32

  // Groups, links, objects.
  let openGroup: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t) -> hid_t
  let createGroup: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t, hid_t, hid_t) -> hid_t
  let closeGroup: Close
  let linkExists: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t) -> Int32
  let getLinkInfo:
    @convention(c) (
      hid_t, UnsafePointer<CChar>, UnsafeMutableRawPointer, hid_t
    ) -> herr_t
  let iterateLinks:
    @convention(c) (
      hid_t, Int32, Int32, UnsafeMutablePointer<hsize_t>?, Iterator?, UnsafeMutableRawPointer?
    ) -> herr_t
  let openObject: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t) -> hid_t
  let closeObject: Close
  let identifierType: @convention(c) (hid_t) -> Int32

  // Datasets and dataspaces.
  let openDataset: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t) -> hid_t
  let createDataset:
    @convention(c) (
      hid_t, UnsafePointer<CChar>, hid_t, hid_t, hid_t, hid_t, hid_t
    ) -> hid_t
  let closeDataset: Close
  let datasetSpace: @convention(c) (hid_t) -> hid_t
  let datasetType: @convention(c) (hid_t) -> hid_t
  let datasetProperties: @convention(c) (hid_t) -> hid_t
  let datasetStorageSize: @convention(c) (hid_t) -> hsize_t
  let read: @convention(c) (hid_t, hid_t, hid_t, hid_t, hid_t, UnsafeMutableRawPointer) -> herr_t
  let write: @convention(c) (hid_t, hid_t, hid_t, hid_t, hid_t, UnsafeRawPointer) -> herr_t
  let createSpace: @convention(c) (Int32) -> hid_t
  let createSimpleSpace:
    @convention(c) (
      Int32, UnsafePointer<hsize_t>?, UnsafePointer<hsize_t>?
    ) -> hid_t
  let closeSpace: Close
  let spaceClass: @convention(c) (hid_t) -> Int32
  let rank: @convention(c) (hid_t) -> Int32
  let extents:
    @convention(c) (
      hid_t, UnsafeMutablePointer<hsize_t>?, UnsafeMutablePointer<hsize_t>?
    ) -> Int32

  // Types.
  let copyType: @convention(c) (hid_t) -> hid_t
  let closeType: Close
  let typeClass: @convention(c) (hid_t) -> Int32
  let typeSize: @convention(c) (hid_t) -> Int
  let setTypeSize: @convention(c) (hid_t, Int) -> herr_t
  let isVariableString: @convention(c) (hid_t) -> Int32
  let setCharacterSet: @convention(c) (hid_t, Int32) -> herr_t
  let getCharacterSet: @convention(c) (hid_t) -> Int32
  let setStringPadding: @convention(c) (hid_t, Int32) -> herr_t
  let getStringPadding: @convention(c) (hid_t) -> Int32
  let reclaim: @convention(c) (hid_t, hid_t, hid_t, UnsafeMutableRawPointer) -> herr_t

  // Attributes.
  let attributeExists: @convention(c) (hid_t, UnsafePointer<CChar>) -> Int32
  let openAttribute: @convention(c) (hid_t, UnsafePointer<CChar>, hid_t) -> hid_t
  let createAttribute:
    @convention(c) (
      hid_t, UnsafePointer<CChar>, hid_t, hid_t, hid_t, hid_t
    ) -> hid_t
  let closeAttribute: Close
  let attributeSpace: @convention(c) (hid_t) -> hid_t
  let attributeType: @convention(c) (hid_t) -> hid_t
  let attributeStorageSize: @convention(c) (hid_t) -> hsize_t
  let readAttribute: @convention(c) (hid_t, hid_t, UnsafeMutableRawPointer) -> herr_t
  let writeAttribute: @convention(c) (hid_t, hid_t, UnsafeRawPointer) -> herr_t
}
