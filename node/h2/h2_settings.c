#include "h2_settings.h"

const struct h2_settings h2_settings_usual = {.max_streams = 100,
                                              .stream_window_bytes = 65536,
                                              .connection_window_bytes = 1048576};
