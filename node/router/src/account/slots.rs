//! What modules keep in an account: one value a type.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;

/// A module's values in one account, found by their type.
#[derive(Default)]
pub struct Slots(BTreeMap<TypeId, Box<dyn Any + Send>>);

impl Slots {
    /// The value of this type, if a module has set one.
    pub fn get<T: Any + Send>(&self) -> Option<&T> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|value| value.downcast_ref())
    }

    /// The value of this type, made if there is none.
    pub fn get_or_default<T: Any + Send + Default>(&mut self) -> &mut T {
        self.0
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::<T>::default())
            .downcast_mut()
            .expect("the key is the value's own type")
    }

    /// Sets the value of this type.
    pub fn set<T: Any + Send>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }
}
