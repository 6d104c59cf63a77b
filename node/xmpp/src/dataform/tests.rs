use super::*;

fn form() -> DataForm {
    DataForm::new(FormKind::Form)
        .with_form_type("urn:example:form")
        .with_title("A & B")
        .with_instructions("Fill in.")
        .with_field(Field::fixed("Section"))
        .with_field(
            Field::new(FieldType::TextSingle, "name")
                .with_label("Name")
                .required(),
        )
        .with_field(Field::new(FieldType::JidMulti, "admins").with_desc("Who rules"))
        .with_field(Field::boolean("public", true))
        .with_field(
            Field::new(FieldType::ListSingle, "who")
                .with_option("All", "all")
                .with_option("None", "none"),
        )
        .with_field(
            Field::new(FieldType::ListSingle, "size")
                .with_option("10", "10")
                .with_datatype(Datatype::Open),
        )
        .with_field(
            Field::new(FieldType::TextSingle, "max")
                .with_datatype(Datatype::Integer { min: 1, max: 9 }),
        )
        .with_field(Field::new(FieldType::TextSingle, "since").with_datatype(Datatype::DateTime))
        .with_field(Field::new(FieldType::TextMulti, "lines"))
}

fn submission() -> DataForm {
    DataForm::new(FormKind::Submit)
        .with_field(Field::submitted(FORM_TYPE, "urn:example:form"))
        .with_field(Field::submitted("name", "x"))
}

fn check(field: Field) -> Result<(), FormError> {
    form().check(&submission().with_field(field))
}

#[test]
fn a_form_is_written_and_read_back() {
    let form = form();
    let bytes = form.to_element().to_bytes();
    let read = DataForm::from_element(&Element::parse(&bytes).unwrap()).unwrap();
    assert_eq!(read, form);
    assert_eq!(read.form_type(), Some("urn:example:form"));
    assert_eq!(read.boolean("public"), Some(true));
}

#[test]
fn the_written_form_is_the_one_of_the_xep() {
    let form = DataForm::new(FormKind::Form)
        .with_form_type("f")
        .with_field(
            Field::new(FieldType::TextPrivate, "p")
                .with_label("P")
                .required(),
        );
    assert_eq!(
        form.to_element().to_string(),
        "<x xmlns=\"jabber:x:data\" type=\"form\">\
         <field var=\"FORM_TYPE\" type=\"hidden\"><value>f</value></field>\
         <field var=\"p\" type=\"text-private\" label=\"P\"><required/></field></x>"
    );
}

#[test]
fn a_result_with_items_is_written_and_read_back() {
    let row = |name: &str| vec![Field::submitted("name", name)];
    let mut result = DataForm::new(FormKind::Result).with_form_type("f");
    result.reported = vec![Field::new(FieldType::TextSingle, "name").with_label("Name")];
    result.items = vec![row("a"), row("b")];
    let parent = Element::new("query", ns::REGISTER).with_child(result.to_element());
    assert_eq!(DataForm::find(&parent, "f"), Some(result));
    assert_eq!(DataForm::find(&parent, "g"), None);
}

#[test]
fn a_form_type_that_is_shown_does_not_count() {
    let shown = DataForm::new(FormKind::Result)
        .with_field(Field::new(FieldType::TextSingle, FORM_TYPE).with_value("f"));
    assert_eq!(shown.form_type(), None);
    assert_eq!(submission().form_type(), Some("urn:example:form"));
}

#[test]
fn what_is_no_form_is_refused() {
    let read = |text: &str| DataForm::from_element(&Element::parse(text.as_bytes()).unwrap());
    assert_eq!(read("<x type=\"form\"/>"), Err(FormError::NotAForm));
    assert_eq!(
        read("<x xmlns=\"jabber:x:data\"/>"),
        Err(FormError::NotAForm)
    );
    assert_eq!(
        read("<x xmlns=\"jabber:x:data\" type=\"odd\"/>"),
        Err(FormError::NotAForm)
    );
    assert_eq!(
        read("<x xmlns=\"jabber:x:data\" type=\"form\"><field/></x>"),
        Err(FormError::Unnamed)
    );
    assert_eq!(
        read("<x xmlns=\"jabber:x:data\" type=\"form\"><field var=\"a\" type=\"odd\"/></x>"),
        Err(FormError::UnknownType)
    );
}

#[test]
fn a_submission_must_be_one_of_this_form_with_what_is_required() {
    assert_eq!(form().check(&submission()), Ok(()));
    assert_eq!(form().check(&form()), Err(FormError::NotSubmitted));
    let other = DataForm::new(FormKind::Submit).with_form_type("urn:example:other");
    assert_eq!(form().check(&other), Err(FormError::OtherForm));
    let unnamed = DataForm::new(FormKind::Submit).with_form_type("urn:example:form");
    assert_eq!(
        form().check(&unnamed),
        Err(FormError::Missing("name".into()))
    );
    let empty = unnamed.with_field(Field::submitted("name", ""));
    assert_eq!(form().check(&empty), Err(FormError::Missing("name".into())));
}

#[test]
fn values_must_fit_their_fields() {
    for (var, good) in [
        ("admins", "a@b"),
        ("public", "false"),
        ("who", "none"),
        ("size", "77"),
        ("max", "9"),
        ("since", "2002-09-10T23:08:25Z"),
        ("unasked", "anything"),
        ("who", ""),
        ("max", ""),
    ] {
        assert_eq!(check(Field::submitted(var, good)), Ok(()), "{var}={good}");
    }
    for (var, bad) in [
        ("admins", "@"),
        ("public", "yes"),
        ("who", "some"),
        ("max", "10"),
        ("max", "0"),
        ("max", "x"),
        ("max", "99999999999999999999"),
        ("since", "today"),
        ("lines", "a\nb"),
    ] {
        assert_eq!(
            check(Field::submitted(var, bad)),
            Err(FormError::BadValue(var.into())),
            "{var}={bad}"
        );
    }
}

#[test]
fn only_multi_fields_take_several_values() {
    assert_eq!(
        check(Field::submitted("lines", "a").with_value("b")),
        Ok(())
    );
    assert_eq!(
        check(Field::submitted("max", "1").with_value("2")),
        Err(FormError::TooMany("max".into()))
    );
}
