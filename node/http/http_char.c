#include "http_char.h"

#define ALNUM_CLASSES                                                                              \
    (HTTP_C_TOKEN | HTTP_C_TARGET | HTTP_C_FIELD | HTTP_C_UNRESERVED | HTTP_C_HOST |               \
     HTTP_C_QDTEXT | HTTP_C_ETAG)
#define VISIBLE   (HTTP_C_TARGET | HTTP_C_FIELD | HTTP_C_QDTEXT | HTTP_C_ETAG)
#define TOKEN     (VISIBLE | HTTP_C_TOKEN)
#define MARK      (TOKEN | HTTP_C_UNRESERVED | HTTP_C_HOST)
#define OBS_TEXT  (HTTP_C_FIELD | HTTP_C_QDTEXT | HTTP_C_ETAG)
#define SPACE     (HTTP_C_FIELD | HTTP_C_QDTEXT)
#define HEX_ALNUM (ALNUM_CLASSES | HTTP_C_HEX)

const uint8_t http_char_class[256] = {
    ['\t'] = SPACE,
    [' '] = SPACE,
    ['0' ... '9'] = HEX_ALNUM,
    ['A' ... 'F'] = HEX_ALNUM,
    ['G' ... 'Z'] = ALNUM_CLASSES,
    ['a' ... 'f'] = HEX_ALNUM,
    ['g' ... 'z'] = ALNUM_CLASSES,
    ['-'] = MARK,
    ['.'] = MARK,
    ['_'] = MARK,
    ['~'] = MARK,
    ['!'] = TOKEN,
    ['$' ... '\''] = TOKEN, /* $ % & ' */
    ['*'] = TOKEN,
    ['+'] = TOKEN,
    ['^'] = TOKEN,
    ['`'] = TOKEN,
    ['|'] = TOKEN,
    ['#'] = HTTP_C_TOKEN | HTTP_C_FIELD | HTTP_C_QDTEXT | HTTP_C_ETAG,
    ['"'] = HTTP_C_TARGET | HTTP_C_FIELD,
    ['\\'] = HTTP_C_TARGET | HTTP_C_FIELD | HTTP_C_ETAG,
    ['('] = VISIBLE,
    [')'] = VISIBLE,
    [','] = VISIBLE,
    ['/'] = VISIBLE,
    [':' ... '@'] = VISIBLE, /* : ; < = > ? @ */
    ['['] = VISIBLE,
    [']'] = VISIBLE,
    ['{'] = VISIBLE,
    ['}'] = VISIBLE,
    [0x80 ... 0xff] = OBS_TEXT,
};
