# Native builds of the corpus programs, to compare with their runs on the PVM.
#
# lockstep_native_program(<name> [TARGET <target>] [COMPILER <file>] [OPTIONS <flag>...])
#
# Adds the target native_<name>, or TARGET: corpus/pvm/src/<name>.c with the native host
# (tests/conformance/native_host.c).  `native_<name> n repeats` runs a benchmark and
# prints its result and the CPU time of each further call.
#
# Without COMPILER it is an ordinary target of the project's compiler, build type and
# sanitizers.  With COMPILER (for measurements: clang-19, which compiles the guests) it
# is made by that one with -O2, in the current binary folder.

set(LOCKSTEP_NATIVE_FLAGS -funsigned-char -fno-strict-aliasing -Wall -Wextra -Wshadow)

function(lockstep_native_program name)
    cmake_parse_arguments(ARG "" "COMPILER;TARGET" "OPTIONS" ${ARGN})
    set(target native_${name})
    if(ARG_TARGET)
        set(target ${ARG_TARGET})
    endif()
    set(sources ${PROJECT_SOURCE_DIR}/corpus/pvm/src/${name}.c
        ${PROJECT_SOURCE_DIR}/tests/conformance/native_host.c)
    set(flags ${LOCKSTEP_NATIVE_FLAGS} ${ARG_OPTIONS})
    if(NOT ARG_COMPILER)
        add_executable(${target} ${sources})
        target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}
            ${PROJECT_SOURCE_DIR}/corpus/pvm/lib)
        target_compile_definitions(${target} PRIVATE NATIVE_PROGRAM="${name}")
        if(LOCKSTEP_SANITIZE)
            list(APPEND flags -fsanitize=${LOCKSTEP_SANITIZE} -fno-sanitize-recover=all)
        endif()
        if(LOCKSTEP_WERROR)
            list(APPEND flags -Werror)
        endif()
        target_compile_options(${target} PRIVATE ${flags})
        return()
    endif()
    file(GLOB headers ${PROJECT_SOURCE_DIR}/corpus/pvm/lib/*.h
        ${PROJECT_SOURCE_DIR}/corpus/pvm/programs.def
        ${PROJECT_SOURCE_DIR}/pvm/hostcalls.def)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${target})
    add_custom_command(OUTPUT ${output}
        COMMAND ${ARG_COMPILER} -O2 ${flags} -I ${PROJECT_SOURCE_DIR}
            -I ${PROJECT_SOURCE_DIR}/corpus/pvm/lib
            "-DNATIVE_PROGRAM=\"${name}\"" ${sources} -o ${output}
        DEPENDS ${sources} ${headers} VERBATIM)
    add_custom_target(${target}_built ALL DEPENDS ${output})
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
