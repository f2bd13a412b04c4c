# Native builds of the corpus programs, to compare with their runs on the PVM.
#
# lockstep_native_program(<name> [COMPILER <file>] [OPTIONS <flag>...])
#
# Adds the target native_<name>: corpus/pvm/src/<name>.c with the native host
# (tests/conformance/native_host.c).  `native_<name> n repeats` runs a benchmark and
# prints its result and the CPU time of each further call.
#
# Without COMPILER it is an ordinary target of the project's compiler, build type and
# sanitizers.  With COMPILER (`./dev bench` passes clang-19, which compiles the guests)
# it is made by that one with -O2.

set(LOCKSTEP_NATIVE_FLAGS -funsigned-char -fno-strict-aliasing -Wall -Wextra -Wshadow)

function(lockstep_native_program name)
    cmake_parse_arguments(ARG "" "COMPILER" "OPTIONS" ${ARGN})
    set(sources ${PROJECT_SOURCE_DIR}/corpus/pvm/src/${name}.c
        ${PROJECT_SOURCE_DIR}/tests/conformance/native_host.c)
    set(flags ${LOCKSTEP_NATIVE_FLAGS} ${ARG_OPTIONS})
    if(NOT ARG_COMPILER)
        add_executable(native_${name} ${sources})
        target_include_directories(native_${name} PRIVATE ${PROJECT_SOURCE_DIR}
            ${PROJECT_SOURCE_DIR}/corpus/pvm/lib)
        target_compile_definitions(native_${name} PRIVATE NATIVE_PROGRAM="${name}")
        if(LOCKSTEP_SANITIZE)
            list(APPEND flags -fsanitize=${LOCKSTEP_SANITIZE} -fno-sanitize-recover=all)
        endif()
        if(LOCKSTEP_WERROR)
            list(APPEND flags -Werror)
        endif()
        target_compile_options(native_${name} PRIVATE ${flags})
        return()
    endif()
    file(GLOB headers ${PROJECT_SOURCE_DIR}/corpus/pvm/lib/*.h
        ${PROJECT_SOURCE_DIR}/corpus/pvm/programs.def
        ${PROJECT_SOURCE_DIR}/pvm/hostcalls.def)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/native_${name})
    add_custom_command(OUTPUT ${output}
        COMMAND ${ARG_COMPILER} -O2 ${flags} -I ${PROJECT_SOURCE_DIR}
            -I ${PROJECT_SOURCE_DIR}/corpus/pvm/lib
            "-DNATIVE_PROGRAM=\"${name}\"" ${sources} -o ${output}
        DEPENDS ${sources} ${headers} VERBATIM)
    add_custom_target(native_${name} ALL DEPENDS ${output})
endfunction()

# The names in corpus/pvm/programs.def, in order.
function(lockstep_corpus_programs ret_names)
    file(STRINGS ${PROJECT_SOURCE_DIR}/corpus/pvm/programs.def rows REGEX "^PROGRAM\\(")
    set(names "")
    foreach(row ${rows})
        string(REGEX REPLACE "^PROGRAM\\(([a-z0-9_]+),.*" "\\1" name "${row}")
        list(APPEND names ${name})
    endforeach()
    set(${ret_names} ${names} PARENT_SCOPE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
        ${PROJECT_SOURCE_DIR}/corpus/pvm/programs.def)
endfunction()
