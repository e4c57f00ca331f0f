import CCarousel
import CPlatform
import CStatus

@_cdecl("carousel_last_error_message") @implementation
public func carousel_last_error_message() -> UnsafePointer<CChar>? {
  carousel_platform_message()
}

@_cdecl("carousel_status_name") @implementation
public func carousel_status_name(_ status: carousel_status) -> UnsafePointer<CChar>? {
  carousel_status_list_name(Int32(bitPattern: status.rawValue))
    ?? ("unknown status" as StaticString).cString
}

@_cdecl("carousel_status_description") @implementation
public func carousel_status_description(_ status: carousel_status) -> UnsafePointer<CChar>? {
  carousel_status_list_description(Int32(bitPattern: status.rawValue))
    ?? ("unknown status" as StaticString).cString
}
