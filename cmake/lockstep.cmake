# Helpers that every folder's CMakeLists.txt uses.

set(LOCKSTEP_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wundef -Wvla -Wimplicit-fallthrough -Wswitch-enum)

# clang only: check(!"why this cannot be") is an idiom, and json-c's loop macro is a
# statement expression.
list(APPEND LOCKSTEP_WARNINGS -Wno-string-conversion -Wno-gnu-statement-expression)

set(LOCKSTEP_FLAGS ${LOCKSTEP_WARNINGS} -ffp-contract=off -fno-strict-aliasing)
if(LOCKSTEP_WERROR)
    list(APPEND LOCKSTEP_FLAGS -Werror)
endif()
if(LOCKSTEP_SANITIZE)
    list(APPEND LOCKSTEP_FLAGS -fsanitize=${LOCKSTEP_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${LOCKSTEP_SANITIZE})
endif()
if(LOCKSTEP_FUZZ)
    list(APPEND LOCKSTEP_FLAGS -fsanitize=fuzzer-no-link)
endif()

# lockstep_library(<folder> SOURCES … HEADERS … DEPENDS <folders> LIBRARIES <targets>)
# One static library per folder: liblockstep-<folder>.a, alias lockstep::<folder>.
# HEADERS are installed into include/lockstep/<folder>/; NO_INSTALL keeps it all here.
function(lockstep_library folder)
    cmake_parse_arguments(ARG "NO_INSTALL" "" "SOURCES;HEADERS;DEPENDS;LIBRARIES" ${ARGN})
    add_library(lockstep-${folder} STATIC ${ARG_SOURCES})
    add_library(lockstep::${folder} ALIAS lockstep-${folder})
    target_include_directories(lockstep-${folder} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/lockstep>)
    target_compile_options(lockstep-${folder} PRIVATE ${LOCKSTEP_FLAGS})
    foreach(depend ${ARG_DEPENDS})
        target_link_libraries(lockstep-${folder} PUBLIC lockstep-${depend})
    endforeach()
    target_link_libraries(lockstep-${folder} PRIVATE ${ARG_LIBRARIES})
    set_target_properties(lockstep-${folder} PROPERTIES EXPORT_NAME ${folder})
    if(LOCKSTEP_INSTALL AND NOT ARG_NO_INSTALL)
        set_property(GLOBAL APPEND PROPERTY LOCKSTEP_FOLDERS ${folder})
        install(TARGETS lockstep-${folder} EXPORT lockstepTargets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
        install(FILES ${ARG_HEADERS}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lockstep/${folder})
    endif()
endfunction()

# lockstep_test(<name> SOURCES … DEPENDS <folders> [LIBRARIES …] [ARGS …])
# One cmocka program, run by ctest from the source root.
function(lockstep_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES;ARGS;LABELS" ${ARGN})
    add_executable(test_${name} ${ARG_SOURCES})
    target_compile_options(test_${name} PRIVATE ${LOCKSTEP_FLAGS})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
    foreach(depend ${ARG_DEPENDS})
        target_link_libraries(test_${name} PRIVATE lockstep-${depend})
    endforeach()
    target_link_libraries(test_${name} PRIVATE PkgConfig::CMOCKA ${ARG_LIBRARIES})
    add_test(NAME ${name} COMMAND test_${name} ${ARG_ARGS}
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
    if(ARG_LABELS)
        set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
    endif()
endfunction()

# lockstep_fuzz(<name> SOURCES … DEPENDS <folders>)
# LLVMFuzzerTestOneInput in SOURCES.  Every build gets a driver that replays
# corpus/fuzz/<name>/ and its mutations as a test; the fuzz preset gets libFuzzer too.
function(lockstep_fuzz name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    lockstep_test(fuzz_${name}
        SOURCES ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/driver.c
        DEPENDS ${ARG_DEPENDS} LIBRARIES ${ARG_LIBRARIES}
        ARGS corpus/fuzz/${name} LABELS fuzz)
    if(LOCKSTEP_FUZZ)
        add_executable(fuzz_${name} ${ARG_SOURCES})
        target_compile_options(fuzz_${name} PRIVATE ${LOCKSTEP_FLAGS})
        target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR})
        foreach(depend ${ARG_DEPENDS})
            target_link_libraries(fuzz_${name} PRIVATE lockstep-${depend})
        endforeach()
        target_link_libraries(fuzz_${name} PRIVATE ${ARG_LIBRARIES})
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    endif()
endfunction()

# lockstep_bench(<name> SOURCES … DEPENDS <folders>): a program that `./dev bench` runs.
function(lockstep_bench name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
    add_executable(bench_${name} ${ARG_SOURCES})
    target_compile_options(bench_${name} PRIVATE ${LOCKSTEP_FLAGS})
    target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR})
    foreach(depend ${ARG_DEPENDS})
        target_link_libraries(bench_${name} PRIVATE lockstep-${depend})
    endforeach()
    target_link_libraries(bench_${name} PRIVATE ${ARG_LIBRARIES})
    set_target_properties(bench_${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
endfunction()
