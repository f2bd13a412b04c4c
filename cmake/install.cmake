# The CMake config and lockstep.pc; both find everything relative to themselves, so an
# installed tree can be moved.
include(CMakePackageConfigHelpers)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lockstep)
install(EXPORT lockstepTargets NAMESPACE lockstep:: DESTINATION ${config_dir})
configure_package_config_file(cmake/lockstepConfig.cmake.in
    ${PROJECT_BINARY_DIR}/lockstepConfig.cmake INSTALL_DESTINATION ${config_dir}
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/lockstepConfig.cmake
    ${PROJECT_BINARY_DIR}/lockstepConfigVersion.cmake DESTINATION ${config_dir})

# Static archives: the upper layers first.
get_property(folders GLOBAL PROPERTY LOCKSTEP_FOLDERS)
list(REVERSE folders)
set(pc_libs "")
foreach(folder ${folders})
    string(APPEND pc_libs " -llockstep-${folder}")
endforeach()
file(RELATIVE_PATH pc_prefix
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(pc_msgpack ${MSGPACK_MODULE_NAME})
configure_file(cmake/lockstep.pc.in ${PROJECT_BINARY_DIR}/lockstep.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lockstep.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
