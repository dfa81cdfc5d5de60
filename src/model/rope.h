/* rope: the angles by which positions turn heads (Su et al. 2021), and how they are scaled so that a model made for
 * short documents reads longer ones.
 *
 * Of a head's numbers the first `dims` turn. Plain, pair i of dims/2 turns by position · f, f = θ^(−2i/dims).
 * Scaled (transformers' modeling_rope_utils.py, whose names these are; w = 2π/f is a pair's wavelength, P the
 * positions that the model was first made for):
 *
 *     linear      f/factor                                                       (Chen et al. 2023)
 *     dynamic     f up to max_position_embeddings, beyond which nothing is computed here
 *     llama3      f where w < P/high_freq_factor, f/factor where w > P/low_freq_factor, between them
 *                 (1 − s)·f/factor + s·f, s = (P/w − low)/(high − low)           (Grattafiori et al. 2024)
 *     yarn        between f (pairs that turn more than beta_fast times in P) and f/factor (less than beta_slow times),
 *                 by a ramp over pairs; cosines and sines times attention_factor (Peng et al. 2023)
 *     longrope    f/short_factor[i]; cosines and sines times attention_factor    (Ding et al. 2024)
 *
 * longrope's long factors belong to documents beyond P: they are kept to be written, and a model has P positions here.
 * GGUF says llama3 by a tensor of divisors, rope_freqs.weight: `factors` here; and yarn's attention_factor as what
 * is left of it after 0.1·ln(factor) + 1, which llama.cpp multiplies in by itself. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct gguf;

enum { ROPE_PAIRS = 256 };   /* at most of a head */

enum rope_kind { ROPE_PLAIN, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONG, ROPE_FACTORS };

/* What a file says. */
struct rope_scaling {
	enum rope_kind kind;
	double factor;                      /* linear, dynamic, llama3, yarn, longrope; 0: not said */
	double original;                    /* P; 0: not said */
	double low, high;                   /* llama3 */
	double fast, slow;                  /* yarn's betas */
	bool whole_pairs;                   /* yarn: its ramp begins and ends at a pair (truncate) */
	double attention;                   /* of cosines and sines; 0: not said */
	double mscale, mscale_all_dim;      /* yarn's attention, where both are said */
	float short_factor[ROPE_PAIRS], long_factor[ROPE_PAIRS]; /* longrope; short_factor of `factors` */
};

/* What is computed: pair i at position p turns by p·frequency[i]. */
struct rope {
	int dims;
	float scale;                        /* of cosines and sines */
	float frequency[ROPE_PAIRS];        /* [dims/2], 0 behind */
};

/* rope_scaling or rope_parameters of a config.json, NULL: plain. theta and partial, the share of a head's D numbers
 * that turns, stay as they are where j does not say them. */
int rope_scaling_json(struct rope_scaling *s, const json_t *j, double *theta, double *partial, int D,
                      const char *where, struct err *e);
/* Of a GGUF's metadata under "<arch>.rope." and its tensors. */
int rope_scaling_gguf(struct rope_scaling *s, const struct gguf *g, const char *arch, int pairs, struct err *e);
/* As config.json has it, θ included; new reference, NULL and a sentence where it has no word for it. */
json_t *rope_json(const struct rope_scaling *s, double theta, int dims, struct err *e);
struct gguf_meta;
/* The metadata that rope_scaling_gguf reads; r: what s makes. with_original: the context that the model was first made
 * for is written too. */
void rope_put_gguf(struct gguf_meta *meta, const char *arch, const struct rope_scaling *s, const struct rope *r,
                   bool with_original, int n_ctx);
/* GGUF's tensors of divisors: fills a row of names and [dims/2] numbers each; returns how many, at most 2. */
struct rope_divisors { const char *name; float x[ROPE_PAIRS]; };
int rope_divisors(struct rope_divisors out[2], const struct rope_scaling *s, const struct rope *r, double theta);
/* n_ctx is max_position_embeddings. */
void rope_make(struct rope *r, const struct rope_scaling *s, double theta, int dims, int n_ctx);
/* cosines then sines of every pair, [positions][dims], as PyTorch computes them: the angle rounded to f32 */
void rope_fill(float *table, size_t positions, const struct rope *r);

#endif
