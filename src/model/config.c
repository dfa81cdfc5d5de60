/* config: see config.h. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"

static int in_range(long long x, const char *key, const char *where, int *out, struct err *e)
{
	if (x < 1 || x > CONFIG_MAX)
		return err_set(e, "%s: %s is %lld, wanted a number from 1 to %d", where, key, x, CONFIG_MAX);
	*out = (int)x;
	return 0;
}

int config_int(const json_t *j, const char *key, int init, int *out, const char *where, struct err *e)
{
	long long x;

	if (jsonx_int(j, key, init, &x, e) < 0)
		return err_prefix(e, "%s", where);
	return in_range(x, key, where, out, e);
}

int config_real(const json_t *j, const char *key, double init, double *out, const char *where, struct err *e)
{
	if (jsonx_real(j, key, init, out, e) < 0)
		return err_prefix(e, "%s", where);
	if (!(*out > 0) || isinf(*out))
		return err_set(e, "%s: %s is missing or not above 0", where, key);
	return 0;
}

int config_flag(const json_t *j, const char *key, bool init, bool *out, const char *where, struct err *e)
{
	int x;

	if (jsonx_bool(j, key, init, &x, e) < 0)
		return err_prefix(e, "%s", where);
	*out = x;
	return 0;
}

int config_word(const json_t *j, const char *key, const char *const *allowed, const char *where, struct err *e)
{
	const char *word;

	if (jsonx_string(j, key, allowed[0], &word, e) < 0)
		return err_prefix(e, "%s", where);
	for (size_t i = 0; allowed[i]; i++)
		if (!strcmp(word, allowed[i]))
			return 0;
	return err_set(e, "%s: %s is \"%s\", this architecture is computed with \"%s\"", where, key, word, allowed[0]);
}

static const char *gguf_key(const struct gguf *g, const char *key, char full[128])
{
	const struct gguf_kv *arch = gguf_find(g, "general.architecture");

	snprintf(full, 128, "%.*s.%s", (int)arch->value.s.len, arch->value.s.data, key);
	return full;
}

int config_gguf_int(const struct gguf *g, const char *key, int init, int *out, struct err *e)
{
	char full[128];
	int64_t x;

	if (gguf_int(g, gguf_key(g, key, full), init == 0, init, &x, e) < 0)
		return -1;
	return in_range(x, full, g->path, out, e);
}

static double shortest(double x)
{
	char text[40];

	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, x);
		if ((float)strtod(text, NULL) == (float)x)
			return strtod(text, NULL);
	}
	return x;
}

int config_gguf_real(const struct gguf *g, const char *key, double init, double *out, struct err *e)
{
	char full[128];
	double x;

	if (gguf_real(g, gguf_key(g, key, full), isnan(init), init, &x, e) < 0)
		return -1;
	if (!(x > 0) || isinf(x))
		return err_set(e, "%s: %s is %g, wanted a number above 0", g->path, full, x);
	*out = shortest(x);
	return 0;
}

int config_check(const struct config *c, const char *where, struct err *e)
{
	if (c->n_layers > CONFIG_LAYERS_MAX)
		return err_set(e, "%s: %d layers, at most %d are wanted", where, c->n_layers, CONFIG_LAYERS_MAX);
	if (c->H % c->G)
		return err_set(e, "%s: %d attention heads on %d key-value heads, wanted a multiple", where, c->H, c->G);
	if (c->D % 2)
		return err_set(e, "%s: heads of %d numbers, wanted an even number", where, c->D);
	if ((int64_t)c->H * c->D > CONFIG_MAX)
		return err_set(e, "%s: %d heads of %d numbers are more than %d", where, c->H, c->D, CONFIG_MAX);
	return 0;
}
