/* params: the trainable numbers of a run, flat.
 *
 * Adapters and full tuning add parameters by name; afterwards params_seal lays them out in one buffer of f32 (each
 * starts at a multiple of 16). Gradient and optimizer state are buffers of the same layout, owned by the trainer. */
#ifndef MODEL_PARAMS_H
#define MODEL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* What a parameter is in the network. An optimizer may treat roles apart; weights of vectors (norms, biases) do not
 * decay. */
enum param_role { PARAM_MATRIX, PARAM_EMBEDDING, PARAM_HEAD, PARAM_VECTOR };

/* What parameters of one group have of their own. Group 0, the plain one, has nothing: { 1, 0, NAN }. */
struct param_group {
	double rate;             /* times the run's learning rate */
	double peak;             /* above 0: a learning rate of its own at the run's peak, whatever that is */
	double clip;             /* most norm of its own gradient, 0: any; NAN: clipped with all others by the run's */
};

struct param {
	/* as its file will have it, e.g. base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight */
	const char *name;
	int n_dims;
	size_t dim[4];
	size_t n, offset;        /* numbers; offset in the flat buffer */
	enum param_role role;    /* by its dimensions, matrix or vector; whoever adds it may know better */
	int group;               /* 0, or what params_add_group gave */
	int weight;              /* index of the model's weight that this parameter stands for, −1 */
	uint32_t site;           /* counter for its initialization */
};

struct params {
	struct arena mem;
	struct param *items;
	size_t n_items, cap_items;
	size_t n;                /* numbers in the flat buffer, padding included */
	struct param_group *groups; /* [n_groups] number 1 and on */
	int n_groups;
	float *w;                /* [n] after seal; zero */
	bool joined;             /* w is a part of another's, see params_join */
};

/* its index */
int params_add(struct params *p, const char *name, int n_dims, const size_t *dim, int weight);
int params_add_group(struct params *p, const struct param_group *group); /* its number */
struct param_group params_group(const struct params *p, int group);
int params_seal(struct params *p, struct err *e);      /* maps w */
/* Lays sealed params end to end into one flat buffer for who trains them together: the numbers are moved there, their
 * tables stay what they are, and `all` (empty before) has every item, the k-th's under "k.NAME", in a group of its own
 * with that clip (param_group); groups within a part keep their rates, and are clipped with all others (clip NAN is
 * wanted then). at[k]: where the k-th's numbers begin. `all` is released after them. */
int params_join(struct params *all, struct params *const *parts, size_t n, double clip, size_t *at, struct err *e);
int params_find(const struct params *p, const char *name); /* −1 */
size_t params_count(const struct params *p);           /* trainable numbers, without padding */
void params_release(struct params *p);

#endif
