/* explained: how much of the differences between trials an option explains by itself.
 *
 *     ε² = (SS_between − (k − 1)·MS_within) / SS_total      k groups of trials, by the option's value
 *
 * (Kelley 1935, An unbiased correlation ratio measure): 0 where the groups differ no more than chance would have it, 1
 * where the option decides everything. It is the option's main effect, as functional ANOVA has it (Hutter, Hoos,
 * Leyton-Brown 2014), but of the trials themselves and not of a forest that was fitted to them; interactions are in
 * nobody's share, and a search that prefers good values sees the others seldom. */
#ifndef SEARCH_EXPLAINED_H
#define SEARCH_EXPLAINED_H

#include <stddef.h>

/* value[i] of the trial i, in group[i] (0 to k − 1; −1: left out). NAN: fewer than two groups, or no trial beyond
 * one of each, or no difference at all. Not below 0. */
double explained_share(const double *value, const int *group, size_t n, int k);

/* Groups of a range: bins of as equal numbers as can be, at most `most`, at least two trials each; where[i]: its place,
 * NAN: left out. Equal places are in one bin. Returns how many bins there are. */
int explained_bins(const double *where, int *group, size_t n, int most);

#endif
