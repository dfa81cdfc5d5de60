/* cache-types: what keeping keys and values in f16 or q8_0 costs and brings, measured through the library.
 *
 * usage: cache-types MODEL TEXT [WINDOWS [DEPTH]]
 *
 * Of each type: perplexity of the second halves of WINDOWS windows (8) of 512 tokens of TEXT, fed one by one; the largest difference of a token's
 * log-probability from f32; and tokens/s of 32 single tokens after DEPTH tokens (4096), which is where reading the cache is what takes time.
 * Build: cc -O2 -Iinclude tools/cache-types.c build/libkungfu.a and the libraries that pkg-config names (tools/check-cache does it). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kungfu.h"

enum { WINDOW = 512, SINGLES = 32 };

static struct kf_error error;

static void good(int status)
{
	if (status == KF_OK)
		return;
	fprintf(stderr, "cache-types: %s\n", error.message);
	exit(1);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double log_probability(const float *logits, int n, int32_t id)
{
	double most = logits[0], sum = 0;

	for (int i = 1; i < n; i++)
		most = fmax(most, logits[i]);
	for (int i = 0; i < n; i++)
		sum += exp(logits[i] - most);
	return logits[id] - most - log(sum);
}

/* Log-probabilities of the second half of each window, [windows][WINDOW/2]. */
static void score(struct kf_session *s, const int32_t *ids, int windows, int vocabulary, double *out)
{
	const float *logits;

	for (int w = 0; w < windows; w++, ids += WINDOW) {
		good(kf_session_truncate(s, 0, &error));
		good(kf_session_feed(s, ids, WINDOW / 2, &logits, &error));
		for (int i = WINDOW / 2; i < WINDOW; i++) {
			*out++ = log_probability(logits, vocabulary, ids[i]);
			good(kf_session_feed(s, ids + i, 1, &logits, &error));
		}
	}
}

static double speed(struct kf_session *s, const int32_t *ids, int depth)
{
	good(kf_session_truncate(s, 0, &error));
	good(kf_session_feed(s, ids, (size_t)depth, NULL, &error));
	double begin = seconds();
	for (int i = 0; i < SINGLES; i++)
		good(kf_session_feed(s, ids + depth + i, 1, NULL, &error));
	return SINGLES / (seconds() - begin);
}

static char *read_text(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *text = malloc(1 << 20);

	if (!f || !text) {
		perror(path);
		exit(1);
	}
	*n = fread(text, 1, 1 << 20, f);
	while (*n && ((unsigned char)text[*n - 1] & 0x80)) /* not in the middle of a character */
		--*n;
	fclose(f);
	return text;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "f32", "f16", "q8_0" };
	struct kf_model *m;
	struct kf_model_facts facts;
	struct kf_session *s;
	int32_t *ids;
	size_t n_ids, n_text;
	int windows = argc > 3 ? atoi(argv[3]) : 8, depth = argc > 4 ? atoi(argv[4]) : 4096;

	if (argc < 3 || windows < 1 || depth < 1) {
		fprintf(stderr, "usage: %s MODEL TEXT [WINDOWS [DEPTH]]\n", argv[0]);
		return 2;
	}
	good(kf_model_open(&m, argv[1], &error));
	good(kf_model_describe(m, &facts, &error));
	char *text = read_text(argv[2], &n_text);
	good(kf_encode(m, text, n_text, 0, &ids, &n_ids, &error));
	if ((size_t)windows * WINDOW > n_ids || (size_t)(depth + SINGLES) > n_ids || depth + SINGLES > facts.context) {
		fprintf(stderr, "cache-types: %d windows and a depth of %d want more than the %zu tokens of %s or the context of %d\n", windows, depth, n_ids, argv[2], facts.context);
		return 1;
	}
	size_t n = (size_t)windows * (WINDOW / 2);
	double *exact = malloc(n * sizeof(*exact)), *p = malloc(n * sizeof(*p));
	printf("%-6s %12s %22s %24s\n", "cache", "perplexity", "largest |log p - f32|", "tokens/s at that depth");
	for (int t = 0; t < 3; t++) {
		double sum = 0, off = 0;
		good(kf_session_new(&s, m, NULL, 0, &(struct kf_settings){ .cache_type_k = t, .cache_type_v = t }, &error));
		score(s, ids, windows, facts.vocabulary, p);
		if (t == 0)
			memcpy(exact, p, n * sizeof(*p));
		for (size_t i = 0; i < n; i++) {
			sum += p[i];
			off = fmax(off, fabs(p[i] - exact[i]));
		}
		printf("%-6s %12.5f %22.2e %24.1f\n", names[t], exp(-sum / (double)n), off, speed(s, ids, depth));
		fflush(stdout);
		kf_session_free(s);
	}
	free(exact);
	free(p);
	free(text);
	kf_free(ids);
	kf_model_free(m);
	return 0;
}
