/* human: numbers as people read them. */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include <stddef.h>

const char *human_bytes(size_t bytes, char out[32]);  /* "93 MB", "1.25 GB" (decimal) */
const char *human_count(double n, char out[32]);      /* "134.5M", "2.1T" */
/* "1.25 EUR", "0.014 µEUR"; "12 mg": a small amount in millionths (money) or in thousandths and millionths, never as a
 * power of ten. */
const char *human_money(double amount, const char *currency, char out[48]);
const char *human_grams(double grams, char out[32]);
/* "2G", "1.5GiB", "800MB", "123": bytes; -1 when it is not a size. G and GB are 10^9, GiB is 2^30. */
int human_parse_bytes(const char *s, size_t *out);

#endif
