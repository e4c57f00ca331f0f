# bindings/c/examples: one program each, in build/examples.

file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bindings/c/examples/*.c)
foreach(source IN LISTS examples)
  get_filename_component(name ${source} NAME_WE)
  add_executable(example-${name} ${source})
  set_target_properties(example-${name} PROPERTIES
    OUTPUT_NAME ${name}
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples
    C_STANDARD 99
    C_EXTENSIONS OFF
    LINKER_LANGUAGE C)
  target_compile_options(example-${name} PRIVATE -Wall -Wextra -pedantic)
  target_link_libraries(example-${name} PRIVATE carousel::carousel m)
endforeach()
