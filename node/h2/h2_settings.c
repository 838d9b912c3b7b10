#include "h2_settings.h"

const struct h2_settings h2_settings_usual = {.max_streams = 100,
                                              .stream_window_bytes = 65536,
                                              .connection_window_bytes = 1048576,
                                              .abuse = {1000, 100, 16},
                                              .client_points = 4000,
                                              .client_forgiven_s = 400};
