/* human: three significant digits or so, decimal units, no trailing zeros. */
#include "base/human.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* Prints x with `decimals`, then drops zeros after the point. */
static void print_short(char *out, size_t size, double x, int decimals)
{
	snprintf(out, size, "%.*f", decimals, x);
	if (!strchr(out, '.'))
		return;
	size_t n = strlen(out);
	while (out[n - 1] == '0')
		n--;
	if (out[n - 1] == '.')
		n--;
	out[n] = 0;
}

/* Divides by 1000 until the printed number has at most three digits before its point. */
static int scale_down(double *x, int units)
{
	int unit = 0;
	while (unit < units - 1 && fabs(*x) >= 999.5) {
		*x /= 1000;
		unit++;
	}
	return unit;
}

const char *human_bytes(size_t bytes, char out[32])
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
	double x = (double)bytes;
	char number[24];
	int unit = scale_down(&x, 7);
	print_short(number, sizeof(number), x, unit == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2);
	snprintf(out, 32, "%s %s", number, units[unit]);
	return out;
}

const char *human_count(double n, char out[32])
{
	static const char units[] = " kMBTPE";
	char number[24];
	if (!isfinite(n)) {
		snprintf(out, 32, "%s", isnan(n) ? "nan" : n > 0 ? "inf" : "-inf");
		return out;
	}
	int unit = scale_down(&n, 7);
	if (fabs(n) >= 1e6) { /* beyond exa */
		snprintf(out, 32, "%.3gE", n);
		return out;
	}
	print_short(number, sizeof(number), n, 1);
	snprintf(out, 32, "%s%.*s", number, unit > 0, units + unit);
	return out;
}

/* The factor that a unit stands for, 0 when it is none. */
static double unit_factor(const char *s)
{
	static const char prefixes[] = "kmgtpe";
	const char *at = *s ? strchr(prefixes, tolower((unsigned char)*s)) : NULL;
	double base = 1000;
	if (!at)
		return *s == 0 || strcasecmp(s, "b") == 0 ? 1 : 0;
	s++;
	if (*s == 'i') {
		base = 1024;
		s++;
	}
	if (*s && strcasecmp(s, "b") != 0)
		return 0;
	return pow(base, (double)(at - prefixes) + 1);
}

/* Two to three digits, written out. */
static void short_number(double x, char out[24])
{
	double size = fabs(x);

	/* what is no number has no digits */
	print_short(out, 24, x, size > 0 && size < 100 ? MIN(2 - (int)floor(log10(size)), 6) : 0);
}

const char *human_money(double amount, const char *currency, char out[48])
{
	bool small = fabs(amount) < 1e-3 && amount != 0;
	char number[24];

	short_number(small ? amount * 1e6 : amount, number);
	if (small && fabs(amount) < 1e-9)
		snprintf(out, 48, "under 0.001 µ%s", currency);
	else
		snprintf(out, 48, "%s %s%s", number, small ? "µ" : "", currency);
	return out;
}

const char *human_grams(double grams, char out[32])
{
	static const char *const units[] = { "g", "mg", "µg" };
	char number[24];
	int i = 0;

	for (; i < 2 && fabs(grams) < 0.1 && grams != 0; i++)
		grams *= 1000;
	short_number(grams, number);
	snprintf(out, 32, "%s %s", number, units[i]);
	return out;
}

int human_parse_bytes(const char *s, size_t *out)
{
	char number[40];
	size_t n = strspn(s, "0123456789.");
	char *end;
	if (n == 0 || n >= sizeof(number))
		return -1;
	memcpy(number, s, n);
	number[n] = 0;
	double x = strtod(number, &end);
	s += n;
	s += strspn(s, " ");
	double factor = unit_factor(s);
	if (*end || factor == 0 || x * factor >= 0x1p63)
		return -1;
	*out = (size_t)(x * factor + 0.5);
	return 0;
}
