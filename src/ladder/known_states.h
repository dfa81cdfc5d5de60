/* known_states: a frozen model's states of rows, kept in a file of a run, so that a row that stays is read once. */
#ifndef LADDER_KNOWN_STATES_H
#define LADDER_KNOWN_STATES_H

#include "data/rows.h"
#include "format/safetensors.h"

struct known_states {
	char *path;
	const char *model;
	const int *layers; /* [n_layers], borrowed */
	size_t n_layers, width, n;
	const int64_t *key; /* [n] ascending, of rows */
	const float *state; /* [n][n_layers][width]; NULL: there are none of these layers */
	struct safetensors file;
	bool open;
	size_t missed;  /* rows that were asked for and are not there */
	double seconds; /* that reading those that are there took */
};

/* Of a run's folder; a file that is not there, or is not of this model and these layers, has none. */
void known_states_open(struct known_states *k, const char *dir, const char *model, const int *layers, size_t n_layers,
                       size_t width);
/* Is the row there? Then its states go into out (or NULL). */
bool known_states_take(struct known_states *k, const json_t *row, float *out);
/* These rows' take the file's place, where they are not too large for it. What goes wrong is no matter: they are read
 * again. */
void known_states_save(const struct known_states *k, const struct rows *r, const float *states, double seconds);
void known_states_close(struct known_states *k);

#endif
