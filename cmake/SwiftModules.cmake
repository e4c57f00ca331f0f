# Swift modules as static libraries that are linked into libcarousel.so.

set(carousel_modules ${CMAKE_CURRENT_BINARY_DIR}/modules)
file(MAKE_DIRECTORY ${carousel_modules})

set(carousel_swift_flags
  -swift-version 6
  -static-stdlib
  -I ${carousel_modules}
  # One object per module (without -num-threads, which makes several and keeps stale ones); small
  # functions of one module are inlined into another, as SwiftPM's release builds do.
  "SHELL:$<$<NOT:$<CONFIG:Debug>>:-wmo -Xfrontend -enable-default-cmo>"
  # Run-time checks of exclusive access cost a look-up in thread-local storage each, and end the process
  # when they fail; the SwiftPM build, which the tests run on, keeps them.
  "SHELL:$<$<CONFIG:Release>:-enforce-exclusivity=unchecked>")
if(CAROUSEL_SANITIZER)
  list(APPEND carousel_swift_flags -sanitize=${CAROUSEL_SANITIZER})
  # Swift traps where C would be undefined.
  set(c_sanitizers $<IF:$<STREQUAL:${CAROUSEL_SANITIZER},address>,address$<COMMA>undefined,thread>)
  add_compile_options(
    "$<$<COMPILE_LANGUAGE:C,CXX>:SHELL:-fsanitize=${c_sanitizers} -fno-sanitize-recover=all -g>")
  add_link_options($<$<LINK_LANGUAGE:C,CXX>:-fsanitize=${c_sanitizers}>)
endif()
if(CAROUSEL_SANITIZER STREQUAL "thread")
  # Its runtime in the Swift toolchain watches Dispatch, too, and so needs it.
  get_filename_component(swift_folder ${CMAKE_Swift_COMPILER} REALPATH)
  get_filename_component(swift_folder ${swift_folder} DIRECTORY)
  set(swift_libraries ${swift_folder}/../lib/swift/linux)
  add_link_options("$<$<LINK_LANGUAGE:C,CXX>:SHELL:-L${swift_libraries} -ldispatch -lBlocksRuntime \
    -Wl,-rpath,${swift_libraries}>")
endif()
if(CAROUSEL_COVERAGE)
  list(APPEND carousel_swift_flags -profile-generate -profile-coverage-mapping)
endif()
if(CAROUSEL_FUZZ)
  # The targets bring what these counters and comparisons call; the library leaves it undefined.
  list(APPEND carousel_swift_flags
    -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp)
endif()

# carousel_swift_module(NAME [FOLDER folder] [DEPENDS target...] [OPTIONS flag...])
#
# A module of all Swift files in Sources/NAME (or FOLDER) and below.
function(carousel_swift_module name)
  cmake_parse_arguments(PARSE_ARGV 1 module "" "FOLDER" "DEPENDS;OPTIONS")
  if(NOT module_FOLDER)
    set(module_FOLDER ${PROJECT_SOURCE_DIR}/Sources/${name})
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${module_FOLDER}/*.swift)
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    Swift_MODULE_NAME ${name}
    Swift_MODULE_DIRECTORY ${carousel_modules}
    ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/archives)
  target_compile_options(${name} PRIVATE ${carousel_swift_flags} ${module_OPTIONS})
  target_link_libraries(${name} PUBLIC ${module_DEPENDS})
endfunction()

# A static library of the C files in Sources/NAME, with a module map for Swift in its `include`.
function(carousel_c_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/Sources/${name}/*.c)
  set(include ${PROJECT_SOURCE_DIR}/Sources/${name}/include)
  set(map ${carousel_modules}/${name}/module.modulemap)
  # SwiftPM makes this map by itself.
  file(CONFIGURE OUTPUT ${map} @ONLY CONTENT
    "module @name@ {\n  umbrella \"@include@\"\n  export *\n}\n")
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    C_STANDARD 11
    C_VISIBILITY_PRESET hidden
    ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/archives)
  target_compile_options(${name} PRIVATE -Wall -Wextra)
  target_include_directories(${name} PUBLIC ${include})
  target_compile_options(${name} INTERFACE
    "$<$<COMPILE_LANGUAGE:Swift>:SHELL:-Xcc -fmodule-map-file=${map}>")
endfunction()

# A module of C headers that others wrote: Sources/NAME/module.modulemap.
function(carousel_header_module name)
  add_library(${name} INTERFACE)
  target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR}/Sources/${name})
  foreach(folder IN LISTS ARGN)
    target_compile_options(${name} INTERFACE
      "$<$<COMPILE_LANGUAGE:Swift>:SHELL:-Xcc -isystem -Xcc ${folder}>")
  endforeach()
endfunction()
