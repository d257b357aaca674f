/* The digits of scanning.py in one pass: the same numbers, bit for bit, and the same lines refused. See there. */

#include <stdint.h>

static const double ten[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* One number in the columns from begin to end, its point at dot; 0 where it is not written so. */
static int number(const uint8_t *line, int32_t begin, int32_t dot, int32_t end, double *value)
{
    uint64_t mantissa = 0;
    int negative = 0;
    int32_t column = begin;
    while (column < dot && line[column] == ' ') column++;
    if (column < dot && line[column] == '-') { negative = 1; column++; }
    for (; column < dot; column++) {
        uint8_t digit = (uint8_t)(line[column] - '0');
        if (digit > 9) return 0;
        mantissa = mantissa * 10 + digit;
    }
    if (line[dot] != '.') return 0;
    for (column = dot + 1; column < end; column++) {
        uint8_t digit = (uint8_t)(line[column] - '0');
        if (digit > 9) return 0;
        mantissa = mantissa * 10 + digit;
    }
    if (mantissa >= (uint64_t)1 << 53) return 0;
    double found = (double)mantissa / ten[end - dot - 1];
    *value = negative ? -found : found;
    return 1;
}

/* All lines of one layout: text (rows, stride); columns (fields, 3) of begin, dot, end; values (rows, fields). */
void scan(const uint8_t *text, int64_t rows, int64_t stride, int64_t fields, const int32_t *columns, double *values,
          uint8_t *sound)
{
    for (int64_t row = 0; row < rows; row++, text += stride) {
        sound[row] = 1;
        for (int64_t field = 0; field < fields; field++, values++) {
            const int32_t *c = columns + 3 * field;
            if (!number(text, c[0], c[1], c[2], values)) sound[row] = 0;
        }
    }
}
