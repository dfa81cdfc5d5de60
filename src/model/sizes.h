/* sizes: shapes of new models by name, and what a shape costs.
 *
 *     FAMILY-dN       the rule: N blocks of width 64·N, heads of 64 (of 32 below a width of 256)
 *     FAMILY-NAME     a row of the table: nano, micro, tiny, mini, small, base by the rule, and sizes that are known
 *                     under a name of the family's own (bert-tiny, gpt2-355M)
 *     FAMILY-15M      that depth of the rule whose blocks have the nearest number of parameters (K, M, B)
 *
 * FAMILY is an architecture of the table (llama, gpt2, bert, qwen3 …). The feed-forward is 4 times as wide as the
 * model, or 8/3 times, up to a multiple of 64, where it is gated, which is as many numbers (Shazeer 2020); blocks
 * have 12·N·(64·N)² = 49,152·N³ parameters. Head and embedding are one matrix where the family can. What else a
 * config.json says is the family's default.
 *
 * Source of the rule: width over depth near 64 is within a percent of the best over a factor of 4 each way (Kaplan et
 * al. 2020, fig. 5). */
#ifndef MODEL_SIZES_H
#define MODEL_SIZES_H

#include <jansson.h>

#include "base/buf.h"
#include "model/model.h"

struct size {
	const char *family;   /* NULL: any */
	const char *name;
	int layers, width, heads;
	int groups, hidden;   /* key-value heads and the feed-forward's width; 0: as many as heads; by the rule */
	const char *known_as; /* where the shape is from, or NULL */
};
extern const struct size sizes[];   /* ends with name NULL */

enum { SIZE_DEPTH_MOST = 128 };

struct size size_of_depth(int depth);
/* Parameters of the blocks of the rule's depth, and the depth with the nearest number of them. */
double size_depth_parameters(int depth);
int size_nearest_depth(double parameters);
/* The config.json of a shape, without a vocabulary's size; new. NULL and a sentence: no such family or size. */
json_t *size_config(const char *name, int context, struct err *e);
json_t *size_config_of(const struct arch *a, const struct size *s, int context);
/* The config.json of a model `times` as wide, with as many times the heads, all of the same size: what muP compares
 * (mup.h); new. */
json_t *size_widened(const json_t *config, int times, struct err *e);
/* A line for each row, for help. */
void size_list(struct buf *b);

/* What a model of these facts (model_new_facts) takes. */
struct size_cost {
	double parameters;    /* all */
	double blocks;        /* without tables of tokens, positions and types, without the head: the laws' N */
	double active;        /* what a token is multiplied with: of experts those that are chosen, and the head */
	/* forward and backward of a token in documents of `context`: 6·active and the attention's products, of what is
	 * seen alone (12·L·H·D·T, half of it of a decoder; Chowdhery et al. 2022, appendix B) */
	double flops;
};
struct size_cost size_cost(const struct model *m, int context);

#endif
