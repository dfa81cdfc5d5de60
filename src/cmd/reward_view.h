/* reward_view: what a person or a script sees of how well rewards tell which answer is better. */
#ifndef CMD_REWARD_VIEW_H
#define CMD_REWARD_VIEW_H

#include "cmd/command.h"
#include "eval/evaluate.h"

void put_reward_scores(json_t *j, const struct reward_scores *s);
void show_reward_scores(const struct reward_scores *s);

#endif
