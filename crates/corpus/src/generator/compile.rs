//! Declarations to program: names become indices, groups become rules, conditions become sets of values.

use std::collections::HashMap;

use super::classes::Words;
use super::program::{Alternative, Choices, MAX_SLOTS, Op, Pick, Program, Rule, Slot, Test, UNBOUND};
use super::source::{ConditionDecl, Holds, Place, SlotDecl, Source};
use super::text::{Filter, Piece, Reference};
use super::{GrammarError, Kind};

/// Compiles a whole grammar. What the program means is checked by [`super::check`] and [`super::ambiguity`].
///
/// # Errors
/// A name that is not declared or is declared twice, or a reference that makes no sense.
pub(super) fn compile(source: &Source) -> Result<Program, GrammarError> {
    let mut compiler =
        Compiler { words: Words::default(), slots: Vec::new(), rules: Vec::new(), names: HashMap::new() };
    for class in &source.classes {
        compiler.words.declare(class)?;
    }
    for slot in &source.slots {
        compiler.slot(slot)?;
    }
    for (index, rule) in source.rules.iter().enumerate() {
        compiler.declare(&rule.name, Named::Rule(index), &rule.place)?;
        compiler.rules.push(Rule {
            name: rule.name.clone(),
            alternatives: Vec::new(),
            fixed_total: None,
            place: rule.place.clone(),
        });
    }
    for (index, rule) in source.rules.iter().enumerate() {
        for alternative in &rule.alternatives {
            let tests = alternative.conditions.iter().map(|c| compiler.test(c, &alternative.place));
            let tests = tests.collect::<Result<_, _>>()?;
            let ops = compiler.ops(&rule.name, &alternative.pieces, &alternative.place)?;
            let (weight, place) = (alternative.weight, alternative.place.clone());
            compiler.rules[index].alternatives.push(Alternative { weight, tests, ops, place });
        }
        compiler.finish(index)?;
    }
    compiler.program(source)
}

#[derive(Clone, Copy)]
enum Named {
    Slot(usize),
    Rule(usize),
}

struct Compiler {
    words: Words,
    slots: Vec<Slot>,
    rules: Vec<Rule>,
    names: HashMap<String, Named>,
}

impl Compiler {
    fn declare(&mut self, name: &str, named: Named, place: &Place) -> Result<(), GrammarError> {
        match self.names.insert(name.to_owned(), named) {
            None => Ok(()),
            Some(_) => Err(place.error(format!("`{name}` is declared twice"))),
        }
    }

    fn slot(&mut self, decl: &SlotDecl) -> Result<(), GrammarError> {
        if self.slots.len() == MAX_SLOTS {
            return Err(decl.place.error(format!("more than {MAX_SLOTS} slots")));
        }
        self.declare(&decl.name, Named::Slot(self.slots.len()), &decl.place)?;
        let (class, initial) = match &decl.holds {
            Holds::Class(name) => {
                let class = self.words.class_named(name);
                (class.ok_or_else(|| decl.place.error(format!("there is no class `{name}`")))?, UNBOUND)
            }
            Holds::Values(values) if values.is_empty() => return Err(decl.place.error("no values")),
            Holds::Values(values) => (self.words.declare_values(values), 0),
        };
        let value_names = self.words.classes[class].words();
        let mut possible = vec![false; value_names.len()];
        if let Some(first) = possible.get_mut(usize::from(initial)) {
            *first = true;
        }
        let (name, label) = (decl.name.clone(), decl.label);
        self.slots.push(Slot { name, class, initial, label, value_names, possible });
        Ok(())
    }

    fn slot_named(&self, name: &str, place: &Place) -> Result<usize, GrammarError> {
        match self.names.get(name) {
            Some(Named::Slot(slot)) => Ok(*slot),
            _ => Err(place.error(format!("there is no slot `{name}`"))),
        }
    }

    fn test(&self, condition: &ConditionDecl, place: &Place) -> Result<Test, GrammarError> {
        let slot = self.slot_named(&condition.slot, place)?;
        let class = &self.words.classes[self.slots[slot].class];
        let column = class.column(condition.column.as_deref(), place)?;
        let mut holds = class.having(column, &condition.values, place)?;
        if !condition.equal {
            holds.iter_mut().for_each(|value| *value = !*value);
        }
        Ok(Test { slot, holds })
    }

    fn ops(&mut self, rule: &str, pieces: &[Piece], place: &Place) -> Result<Vec<Op>, GrammarError> {
        let mut ops = Vec::new();
        for piece in pieces {
            ops.push(match piece {
                Piece::Literal(text) => {
                    // A line break follows another character of its own literal, so that documents have no blank
                    // lines and can be separated by them.
                    if text.contains("\n\n") || text.starts_with('\n') {
                        return Err(
                            place.error("`\\n` must follow another character that is not a slot or rule")
                        );
                    }
                    Op::Literal(text.as_str().into())
                }
                Piece::Group(choices) => {
                    let mut alternatives = Vec::new();
                    for (weight, pieces) in choices {
                        let ops = self.ops(rule, pieces, place)?;
                        alternatives.push(Alternative {
                            weight: *weight,
                            tests: Vec::new(),
                            ops,
                            place: place.clone(),
                        });
                    }
                    let name = format!("{rule}, a group");
                    self.rules.push(Rule { name, alternatives, fixed_total: None, place: place.clone() });
                    self.finish(self.rules.len() - 1)?;
                    Op::Call(self.rules.len() - 1)
                }
                Piece::Set { slot, value } => self.set(slot, value, place)?,
                Piece::Reference(reference) => self.reference(reference, place)?,
            });
        }
        Ok(ops)
    }

    fn set(&mut self, slot: &str, value: &str, place: &Place) -> Result<Op, GrammarError> {
        let slot = self.slot_named(slot, place)?;
        if self.slots[slot].initial == UNBOUND {
            return Err(
                place.error("only a `var` or `label` can be set; a `slot` is bound by picking a word")
            );
        }
        let found = self.slots[slot].value_names.iter().position(|name| name == value);
        let value = found
            .ok_or_else(|| place.error(format!("`{}` has no value `{value}`", self.slots[slot].name)))?;
        self.slots[slot].possible[value] = true;
        Ok(Op::Set { slot, value: value as u16 })
    }

    fn reference(&mut self, reference: &Reference, place: &Place) -> Result<Op, GrammarError> {
        let Reference { article, capital, .. } = *reference;
        let column = reference.column.as_deref();
        if let Some(class) = &reference.class {
            return self.pick(reference, class, place);
        }
        if !reference.filters.is_empty() || !reference.except.is_empty() {
            return Err(place.error("`where` and `except` belong to a pick, `{slot:class where …}`"));
        }
        match self.names.get(&reference.name).copied() {
            Some(Named::Slot(slot)) => {
                let form = self.words.form(self.slots[slot].class, column, article, capital, place)?;
                Ok(Op::Show { slot, form })
            }
            Some(Named::Rule(rule)) if column.is_none() && !article && !capital => Ok(Op::Call(rule)),
            Some(Named::Rule(_)) => Err(place.error(format!("rule `{}` has no forms", reference.name))),
            None => Err(place.error(format!("there is no slot or rule `{}`", reference.name))),
        }
    }

    fn pick(&mut self, reference: &Reference, class_name: &str, place: &Place) -> Result<Op, GrammarError> {
        let class = self.words.class_named(class_name);
        let class = class.ok_or_else(|| place.error(format!("there is no class `{class_name}`")))?;
        let slot = match reference.name.as_str() {
            "" => None,
            name => Some(self.slot_named(name, place)?),
        };
        let mut except = Vec::new();
        for name in &reference.except {
            except.push(self.slot_named(name, place)?);
        }
        for &other in slot.iter().chain(&except) {
            if self.slots[other].class != class {
                return Err(
                    place.error(format!("slot `{}` does not hold a {class_name}", self.slots[other].name))
                );
            }
        }
        let column = reference.column.as_deref();
        let form = self.words.form(class, column, reference.article, reference.capital, place)?;
        let choices = self.choices(reference, class, form, place)?;
        let pick = Pick { slot, choices, except, form, place: place.clone() };
        for (distribution, _) in pick.all_choices() {
            let members = &self.words.distributions[distribution].members;
            if members.len() <= pick.except.len() {
                return Err(place.error("every word may be excepted"));
            }
            if let Some(slot) = slot {
                members.iter().for_each(|&word| self.slots[slot].possible[usize::from(word)] = true);
            }
        }
        Ok(Op::Pick(pick))
    }

    fn choices(
        &mut self,
        reference: &Reference,
        class: usize,
        form: usize,
        place: &Place,
    ) -> Result<Choices, GrammarError> {
        let mut members = vec![true; self.words.classes[class].len()];
        let mut by = None;
        for Filter { column, value, equal } in &reference.filters {
            let table = &self.words.classes[class];
            let column = table.column(Some(column), place)?;
            if let Some((slot, other_column)) = value.split_once('.') {
                let slot = self.slot_named(slot, place)?;
                let other = self.words.classes[self.slots[slot].class].column(Some(other_column), place)?;
                if by.replace((column, slot, other, *equal)).is_some() {
                    return Err(place.error("two filters depend on slots"));
                }
                continue;
            }
            let values: Vec<String> = value.split('/').map(str::to_owned).collect();
            let having = table.having(column, &values, place)?;
            members.iter_mut().zip(having).for_each(|(member, has)| *member &= has == *equal);
        }
        let none = || place.error("no word passes the filters");
        let Some((column, slot, other_column, equal)) = by else {
            let distribution = self.words.distribution(class, &members).ok_or_else(none)?;
            return Ok(Choices::Fixed(distribution, self.words.lexicon(distribution, form)));
        };
        let mut table = Vec::new();
        for value in 0..self.slots[slot].value_names.len() {
            let wanted = self.words.classes[self.slots[slot].class].cell(value, other_column).to_owned();
            let class_table = &self.words.classes[class];
            let kept = members
                .iter()
                .enumerate()
                .map(|(w, &m)| m && (class_table.cell(w, column) == wanted) == equal);
            let kept: Vec<bool> = kept.collect();
            let distribution = self.words.distribution(class, &kept);
            table.push(distribution.map(|d| (d, self.words.lexicon(d, form))));
        }
        Ok(Choices::By { slot, table })
    }

    fn finish(&mut self, rule: usize) -> Result<(), GrammarError> {
        let rule = &mut self.rules[rule];
        if rule.alternatives.is_empty() {
            return Err(rule.place.error(format!("rule `{}` has no alternatives", rule.name)));
        }
        if rule.alternatives.iter().all(|alternative| alternative.tests.is_empty()) {
            rule.fixed_total = Some(rule.alternatives.iter().map(|alternative| alternative.weight).sum());
        }
        Ok(())
    }

    fn program(self, source: &Source) -> Result<Program, GrammarError> {
        let start = |kind: Kind| source.rules.iter().position(|rule| rule.name == kind.name());
        let starts = [start(Kind::Stories), start(Kind::Reviews), start(Kind::Pairs)];
        if starts.iter().all(Option::is_none) {
            let place = Place { file: "grammar".into(), line: 1 };
            return Err(place.error("there is no rule `stories`, `reviews` or `pairs`"));
        }
        let labels = starts.map(|start| start.map_or_else(Vec::new, |start| self.labels_set_by(start)));
        let Words { forms, distributions, lexicons, .. } = self.words;
        Ok(Program { slots: self.slots, rules: self.rules, forms, distributions, lexicons, starts, labels })
    }

    /// The labels that a rule and those it uses can set.
    fn labels_set_by(&self, start: usize) -> Vec<usize> {
        let (mut reached, mut todo) = (vec![false; self.rules.len()], vec![start]);
        let mut set = vec![false; self.slots.len()];
        while let Some(rule) = todo.pop() {
            if std::mem::replace(&mut reached[rule], true) {
                continue;
            }
            for op in self.rules[rule].alternatives.iter().flat_map(|alternative| &alternative.ops) {
                match op {
                    Op::Call(called) => todo.push(*called),
                    Op::Set { slot, .. } => set[*slot] = self.slots[*slot].label,
                    Op::Literal(_) | Op::Show { .. } | Op::Pick(_) => {}
                }
            }
        }
        (0..set.len()).filter(|&slot| set[slot]).collect()
    }
}
