# libcarousel.so and what it is made of. Arrows point one way:
# Carousel -> ModelFiles -> LSTM -> KernelInterface <- Kernels of each instruction set.

carousel_c_module(CPlatform)
# The Swift runtime's small objects can fall back on memory of our own: Sources/CPlatform/reserve.c.
target_compile_definitions(CPlatform PRIVATE CAROUSEL_MEMORY_RESERVE)
foreach(function malloc calloc realloc posix_memalign free malloc_usable_size)
  list(APPEND reserve_options "SHELL:-Xlinker --wrap=${function}")
endforeach()

carousel_c_module(CStatus)
carousel_header_module(CHDF5 ${HDF5_INCLUDE_DIRS})
carousel_header_module(CInstructions)
carousel_header_module(CZip ${LIBZIP_INCLUDE_DIRS})
carousel_header_module(CJansson ${JANSSON_INCLUDE_DIRS})
target_link_libraries(CJansson INTERFACE PkgConfig::JANSSON)

carousel_swift_module(KernelInterface)

# The same sources once per instruction set; clang's flag steers Swift's code generation, too.
# They index memory that their callers have checked, so they are built without checks.
set(kernel_flags
  "SHELL:-enable-experimental-feature BuiltinModule"
  -Ounchecked "SHELL:-Xfrontend -disable-stack-protector")
set(kernels KernelsBaseline)
carousel_swift_module(KernelsBaseline
  FOLDER ${PROJECT_SOURCE_DIR}/Sources/Kernels DEPENDS KernelInterface OPTIONS ${kernel_flags})
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND kernels KernelsAVX2 KernelsAVX512 KernelsAVX512BF16)
  carousel_swift_module(KernelsAVX2
    FOLDER ${PROJECT_SOURCE_DIR}/Sources/Kernels DEPENDS KernelInterface
    OPTIONS ${kernel_flags} "SHELL:-Xcc -march=x86-64-v3" -DKERNELS_AVX2)
  carousel_swift_module(KernelsAVX512
    FOLDER ${PROJECT_SOURCE_DIR}/Sources/Kernels DEPENDS KernelInterface
    OPTIONS ${kernel_flags} "SHELL:-Xcc -march=x86-64-v4" -DKERNELS_AVX512)
  carousel_swift_module(KernelsAVX512BF16
    FOLDER ${PROJECT_SOURCE_DIR}/Sources/Kernels DEPENDS KernelInterface CInstructions
    OPTIONS ${kernel_flags} "SHELL:-Xcc -march=x86-64-v4 -Xcc -mavx512bf16 -Xcc -mavx512vnni"
      -DKERNELS_AVX512 -DKERNELS_AVX512_BF16)
endif()

carousel_swift_module(LSTM DEPENDS KernelInterface ${kernels} CPlatform)
carousel_swift_module(ModelFiles DEPENDS LSTM CPlatform CHDF5 CZip CJansson)

file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/Sources/Carousel/*.swift)
add_library(carousel SHARED ${sources})
add_library(carousel::carousel ALIAS carousel)
set(exports ${PROJECT_SOURCE_DIR}/cmake/carousel.map)
set_target_properties(carousel PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}
  Swift_MODULE_NAME Carousel
  Swift_MODULE_DIRECTORY ${carousel_modules}
  LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
  LINK_DEPENDS ${exports})
target_compile_options(carousel PRIVATE
  ${carousel_swift_flags} "SHELL:-Xcc -fmodule-map-file=${PROJECT_SOURCE_DIR}/include/module.modulemap")
target_include_directories(carousel PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(carousel PRIVATE LSTM ModelFiles CPlatform CStatus)
target_link_options(carousel PRIVATE
  -static-stdlib
  "SHELL:-L ${PROJECT_BINARY_DIR}/archives"
  "SHELL:-Xlinker --version-script=${exports}"
  # What sanitizers call is in the programs.
  "$<$<STREQUAL:${CAROUSEL_SANITIZER},>:SHELL:-Xlinker -z -Xlinker defs>"
  # The thread pool's workers sleep in this library: it stays when a program closes it.
  "SHELL:-Xlinker -z -Xlinker nodelete"
  # The runtime's link file names libstdc++; nothing else that is not used becomes a dependency.
  "SHELL:-Xlinker --as-needed"
  # Not gold, the choice of the driver: with -s it makes a library that crashes (Swift 6.3.1), and
  # lld checks that every name in the version script exists.
  -use-ld=lld
  ${reserve_options}
  "$<$<CONFIG:Release>:SHELL:-Xlinker -s>")
# The program that reads untrusted files: beside the library in the build, in libexec when installed.
add_executable(carousel-reader ${PROJECT_SOURCE_DIR}/Sources/Reader/main.c)
file(RELATIVE_PATH reader_to_library
  /prefix/${CMAKE_INSTALL_LIBEXECDIR}/carousel /prefix/${CMAKE_INSTALL_LIBDIR})
set_target_properties(carousel-reader PROPERTIES
  C_STANDARD 99
  C_EXTENSIONS OFF
  LINKER_LANGUAGE C
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
  # Not the sanitizer's or anybody's runpath: the library that starts it.
  BUILD_RPATH_USE_ORIGIN ON
  BUILD_RPATH "$ORIGIN"
  INSTALL_RPATH "$ORIGIN/${reader_to_library}")
target_compile_options(carousel-reader PRIVATE -Wall -Wextra -pedantic)
target_link_libraries(carousel-reader PRIVATE carousel)
if(CAROUSEL_SANITIZER)
  target_link_options(carousel PRIVATE -sanitize=${CAROUSEL_SANITIZER})
endif()
if(CAROUSEL_SANITIZER STREQUAL "address")
  target_link_options(carousel PRIVATE "SHELL:-Xclang-linker -fsanitize=undefined")
endif()
if(CAROUSEL_COVERAGE)
  foreach(module CPlatform CStatus)
    target_compile_options(${module} PRIVATE -fprofile-instr-generate -fcoverage-mapping)
  endforeach()
  target_link_options(carousel PRIVATE -profile-generate)
endif()
