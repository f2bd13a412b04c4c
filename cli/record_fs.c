/* SPDX-License-Identifier: MIT */
#include "cli/record_fs.h"

#include "cli/fs_serve.h"

int cli_record_fs(struct cli *cli, const struct cli_record_fs_options *options,
                  const char *path, unsigned zstd_level)
{
    struct cli_fs_record_options how = options->fs_record;
    struct cli_fs_session session = {0};
    struct cli_fs_peer peer;
    how.path = path;
    int status =
        cli_fs_peer_open(cli, options->listen, options->connect, V86FS_FEATURES, &peer);
    if (!status) {
        status = cli_fs_session_open(cli, &options->fs, &how, peer.hello.features,
                                     zstd_level, &session);
        if (!status) {
            const struct cli_fs_service service = cli_fs_session_service(&session);
            status = cli_fs_confine(&session.fs, options->fs_record.confine);
            enum err err = status ? ERR_ok : cli_fs_peer_serve(&peer, &service);
            if (err && err != ERR_interrupted)
                status = ui_fail(cli, err,
                                 options->listen ? options->listen : options->connect);
        }
        status = cli_fs_session_close(&session, status);
    }
    cli_fs_peer_close(&peer);
    return status;
}
