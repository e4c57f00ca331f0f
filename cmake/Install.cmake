# cmake --install: library, header, pkg-config file, find_package(carousel).

include(CMakePackageConfigHelpers)

install(TARGETS carousel EXPORT carousel
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT development)
install(TARGETS carousel-reader
  RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/carousel)
install(FILES include/carousel.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/carousel)
install(EXPORT carousel NAMESPACE carousel:: FILE carousel-targets.cmake
  DESTINATION ${package_folder})
configure_package_config_file(
  cmake/carousel-config.cmake.in ${PROJECT_BINARY_DIR}/carousel-config.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/carousel-config-version.cmake COMPATIBILITY SameMajorVersion)
install(
  FILES
    ${PROJECT_BINARY_DIR}/carousel-config.cmake
    ${PROJECT_BINARY_DIR}/carousel-config-version.cmake
  DESTINATION ${package_folder})

# Paths relative to the file, so that an installed copy can be moved.
file(RELATIVE_PATH pkgconfig_to_prefix
  /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/carousel.pc.in carousel.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/carousel.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
