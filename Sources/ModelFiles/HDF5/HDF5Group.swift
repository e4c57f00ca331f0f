import CHDF5
import LSTM

/// A group: named members and attributes.
///
/// Members are reached by name only, through hard links only: a soft or external link could lead
/// anywhere, also into other files.
final class HDF5Group {
  enum MemberKind { case group, dataset, other }

  let file: HDF5File
  /// Without a leading slash; empty for the root.
  let path: String
  let handle: HDF5Handle

  init(file: HDF5File, path: String, handle: HDF5Handle) {
    self.file = file
    self.path = path
    self.handle = handle
  }

  var attributes: HDF5Attributes { HDF5Attributes(file: file, owner: handle, path: path) }

  var displayPath: String { path.isEmpty ? "the root group" : "group '\(path)'" }

  private var functions: HDF5Functions { file.library.functions }

  private func childPath(_ name: String) -> String { path.isEmpty ? name : "\(path)/\(name)" }

  /// Kind of the member `name`; nil if there is none.
  ///
  /// - Throws: `.unsupported` if the name is a soft or external link.
  func kind(of name: String) throws(EngineError) -> MemberKind? {
    guard try hasHardLink(name) else { return nil }
    let object = try file.library.own(
      functions.openObject(handle.id, name, 0), closedBy: functions.closeObject,
      orFailWith: "'\(childPath(name))' cannot be opened")
    // H5I_GROUP and H5I_DATASET.
    switch functions.identifierType(object.id) {
    case 2: return .group
    case 5: return .dataset
    default: return .other
    }
  }

  /// The group at `path` below this one; nil if there is nothing of that name.
  func groupIfPresent(_ path: String) throws(EngineError) -> HDF5Group? {
    var group = self
    for name in try HDF5Group.components(path) {
      guard try group.kind(of: name) == .group else { return nil }
      let id = try file.library.own(
        functions.openGroup(group.handle.id, name, 0), closedBy: functions.closeGroup,
        orFailWith: "group '\(group.childPath(name))' cannot be opened")
      group = HDF5Group(file: file, path: group.childPath(name), handle: id)
    }
    return group
  }

  func group(_ path: String) throws(EngineError) -> HDF5Group {
    guard let group = try groupIfPresent(path) else {
      throw EngineError(.format, "\(displayPath) has no group '\(path)'")
    }
    return group
  }

  /// The dataset at `path` below this group; nil if there is nothing of that name.
  func datasetIfPresent(_ path: String) throws(EngineError) -> HDF5Dataset? {
    var names = try HDF5Group.components(path)
    guard let last = names.popLast() else { return nil }
    var parent = self
    for name in names {
      guard let next = try parent.groupIfPresent(name) else { return nil }
      parent = next
    }
    guard try parent.kind(of: last) == .dataset else { return nil }
    return try HDF5Dataset(parent: parent, name: last, path: parent.childPath(last))
  }

  func dataset(_ path: String) throws(EngineError) -> HDF5Dataset {
    guard let dataset = try datasetIfPresent(path) else {
      throw EngineError(.format, "\(displayPath) has no dataset '\(path)'")
    }
    return dataset
  }

  /// Names of all members, sorted by name.
  func names() throws(EngineError) -> [String] {
    final class Listing {
      var names: [String] = []
      var limit: Int
      var isInvalid = false
      init(limit: Int) { self.limit = limit }
    }
    let listing = Listing(limit: file.limits.objects)
    let visit: HDF5Functions.Iterator = { _, name, _, context in
      guard let name, let context else { return -1 }
      let listing = Unmanaged<Listing>.fromOpaque(context).takeUnretainedValue()
      guard listing.names.count < listing.limit, let text = String(validatingCString: name)
      else {
        listing.isInvalid = true
        return -1
      }
      listing.names.append(text)
      return 0
    }
    var position: hsize_t = 0
    // H5_INDEX_NAME, H5_ITER_INC.
    let status = withExtendedLifetime(listing) {
      functions.iterateLinks(
        handle.id, 0, 0, &position, visit, Unmanaged.passUnretained(listing).toOpaque())
    }
    guard !listing.isInvalid else {
      throw EngineError(
        .limit, "\(displayPath) has more than \(listing.limit) members, or a name not in UTF-8")
    }
    guard status >= 0 else {
      throw file.library.failure("the members of \(displayPath) cannot be listed")
    }
    return listing.names
  }

  private func hasHardLink(_ name: String) throws(EngineError) -> Bool {
    guard functions.linkExists(handle.id, name, 0) > 0 else {
      _ = functions.clearErrors(0)
      return false
    }
    // H5L_info_t (every version of it) begins with the link's type; 0 is H5L_TYPE_HARD.
    let status = withUnsafeTemporaryAllocation(byteCount: 128, alignment: 16) { info in
      functions.getLinkInfo(handle.id, name, info.baseAddress!, 0) < 0
        ? nil : info.load(as: Int32.self)
    }
    guard let type = status else {
      throw file.library.failure("'\(childPath(name))' cannot be looked up")
    }
    guard type == 0 else {
      throw EngineError(
        .unsupported,
        "'\(childPath(name))' is \(type == 1 ? "a soft" : "an external") link; links are refused, "
          + "because they may lead out of the file")
    }
    return true
  }

  /// Splits a path; `.` is refused, as it would name the group itself.
  private static func components(_ path: String) throws(EngineError) -> [String] {
    let names = path.split(separator: "/").map(String.init)
    guard !names.contains("."), !path.utf8.contains(0) else {
      throw EngineError(.format, "'\(path)' is not a path to a member of a group")
    }
    return names
  }
}
