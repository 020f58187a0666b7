//! A compiled expression: nodes in a list, each after its operands. Depth and cost are known when a
//! node is added, and bounded there.

use super::cost::NODE;
use super::pattern::Pattern;
use super::value::Operator;
use super::variable::Variable;

/// The deepest nesting of an expression: evaluation recurses as deep. A chain such as `1 + 1 + 1` or
/// `a.b.c` nests too; `a && b && c` does not.
pub(super) const MAX_DEPTH: u8 = 32;

/// The most elements of a list or map that `exists`, `all` and `exists_one` look at.
pub(super) const MAX_ELEMENTS: usize = 1000;

/// The most steps of the nodes of an expression, if every list has [`MAX_ELEMENTS`]: about 2 ms.
/// Enough for conditions of 50 nodes on the elements of a list, of which a comparison takes 4.
pub(super) const MAX_COST: usize = 50_000 * NODE;

/// Names a node of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u16);

#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    Variable(Variable),
    /// The element of the enclosing macro.
    Element,
    Field(Id, Box<str>),
    Index(Id, Id),
    /// Whether a map has a key.
    Has(Id, Box<str>),
    /// Whether an event has a field.
    HasVariable(Variable),
    Not(Id),
    Negate(Id),
    All(Box<[Id]>),
    Any(Box<[Id]>),
    Compare(Relation, Id, Id),
    In(Id, Id),
    Arithmetic(Operator, Id, Id),
    Choice(Id, Id, Id),
    List(Box<[Id]>),
    Map(Box<[(Box<str>, Id)]>),
    Convert(Conversion, Id),
    Test(StringTest, Id, Id),
    Matches(Id, Box<Pattern>),
    Macro(Quantifier, Id, Id),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Functions of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    Size,
    Int,
    Uint,
    Double,
    String,
    Text,
    Bool,
    Lower,
    Upper,
}

/// Tests of a string by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StringTest {
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    Exists,
    All,
    ExistsOne,
}

/// Why a node cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMuch {
    Depth,
    Cost,
}

#[derive(Debug, Default)]
pub(super) struct Program {
    nodes: Vec<Node>,
    /// Depth and cost of each node.
    sizes: Vec<(u8, usize)>,
    reads_body: bool,
}

impl Program {
    /// Adds a node. Its operands are in the program already.
    pub(super) fn add(&mut self, node: Node) -> Result<Id, TooMuch> {
        let factor = if matches!(node, Node::Macro(..)) { MAX_ELEMENTS } else { 1 };
        let (mut depth, mut cost) = (0, NODE);
        node.children(|child| {
            let (below, its_cost) = self.sizes[usize::from(child.0)];
            depth = depth.max(below);
            cost = cost.saturating_add(its_cost.saturating_mul(factor));
        });
        if depth >= MAX_DEPTH {
            return Err(TooMuch::Depth);
        }
        if cost > MAX_COST {
            return Err(TooMuch::Cost);
        }
        if let Node::Variable(root) | Node::HasVariable(root) = node {
            self.reads_body |= root.is_body();
        }
        let id = u16::try_from(self.nodes.len()).expect("1 KiB of text makes few nodes");
        self.nodes.push(node);
        self.sizes.push((depth + 1, cost));
        Ok(Id(id))
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[usize::from(id.0)]
    }

    /// Returns the node of the whole expression.
    pub(super) fn top(&self) -> Id {
        Id(u16::try_from(self.nodes.len() - 1).expect("add checks it"))
    }

    /// Returns whether the body of a message has to be read for it.
    pub(super) fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// Returns the most steps that the nodes take in an evaluation.
    pub(super) fn cost(&self) -> usize {
        self.sizes.last().map_or(0, |(_, cost)| *cost)
    }

    /// Returns whether a node is a list of constants only.
    pub(super) fn is_constant(&self, items: &[Id]) -> bool {
        items.iter().all(|item| matches!(self.node(*item), Node::Constant(_)))
    }
}

impl Node {
    fn children(&self, mut each: impl FnMut(Id)) {
        match self {
            Self::Constant(_) | Self::Variable(_) | Self::Element | Self::HasVariable(_) => {}
            Self::Field(a, _)
            | Self::Has(a, _)
            | Self::Not(a)
            | Self::Negate(a)
            | Self::Convert(_, a)
            | Self::Matches(a, _) => each(*a),
            Self::Index(a, b)
            | Self::Compare(_, a, b)
            | Self::In(a, b)
            | Self::Arithmetic(_, a, b)
            | Self::Test(_, a, b)
            | Self::Macro(_, a, b) => [*a, *b].into_iter().for_each(each),
            Self::Choice(a, b, c) => [*a, *b, *c].into_iter().for_each(each),
            Self::All(items) | Self::Any(items) | Self::List(items) => {
                items.iter().copied().for_each(each);
            }
            Self::Map(entries) => entries.iter().for_each(|(_, value)| each(*value)),
        }
    }
}
